// As much JSON as the protocol needs, without a package.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Posetalk
{
    /// Values are Dictionary<string, object>, List<object>, string, double, bool or null.
    public sealed class Json
    {
        const int Deepest = 64;
        readonly string text;
        int at;

        Json(string text)
        {
            this.text = text;
        }

        /// The message in a text; throws WireException for what is no object with a type, or another version.
        public static Dictionary<string, object> Message(string text)
        {
            Dictionary<string, object> message = null;
            try
            {
                message = Parse(text) as Dictionary<string, object>;
            }
            catch (FormatException)
            {
            }
            object type;
            if (message == null || !message.TryGetValue("type", out type) || !(type is string))
                throw new WireException("json", "a text message is a JSON object with a string `type`");
            object protocol;
            if (message.TryGetValue("protocol", out protocol) && !Wire.Protocol.Equals(AsInt(protocol)))
                throw Wire.Mismatch(Convert.ToString(protocol, CultureInfo.InvariantCulture));
            return message;
        }

        /// Throws FormatException.
        public static object Parse(string text)
        {
            var reader = new Json(text);
            object value = reader.Value(0);
            reader.Space();
            if (reader.at != text.Length)
                throw new FormatException("something follows the value");
            return value;
        }

        public static string Quote(string value)
        {
            var result = new StringBuilder("\"");
            foreach (char c in value)
            {
                if (c == '"' || c == '\\')
                    result.Append('\\').Append(c);
                else if (c < 0x20 || c > 0x7e)
                    result.Append("\\u").Append(((int)c).ToString("x4"));
                else
                    result.Append(c);
            }
            return result.Append('"').ToString();
        }

        public static string Text(Dictionary<string, object> message, string key)
        {
            object value;
            return message.TryGetValue(key, out value) ? value as string ?? "" : "";
        }

        public static double Number(Dictionary<string, object> message, string key)
        {
            object value;
            return message.TryGetValue(key, out value) && value is double ? (double)value : 0;
        }

        public static string[] Texts(object value)
        {
            var list = value as List<object> ?? new List<object>();
            return list.ConvertAll(item => item as string ?? "").ToArray();
        }

        static object AsInt(object value)
        {
            return value is double && (double)value == Math.Floor((double)value) ? (int)(double)value : value;
        }

        object Value(int depth)
        {
            if (depth > Deepest)
                throw new FormatException("too deep");
            Space();
            switch (Peek())
            {
                case '{': return Object(depth);
                case '[': return List(depth);
                case '"': return String();
                case 't': return Word("true", true);
                case 'f': return Word("false", false);
                case 'n': return Word("null", null);
                default: return Number();
            }
        }

        Dictionary<string, object> Object(int depth)
        {
            var result = new Dictionary<string, object>();
            at++;
            Space();
            if (Peek() == '}') { at++; return result; }
            while (true)
            {
                Space();
                if (Peek() != '"')
                    throw new FormatException("a name is missing");
                string name = String();
                Space();
                Expect(':');
                result[name] = Value(depth + 1);
                Space();
                if (Peek() == '}') { at++; return result; }
                Expect(',');
            }
        }

        List<object> List(int depth)
        {
            var result = new List<object>();
            at++;
            Space();
            if (Peek() == ']') { at++; return result; }
            while (true)
            {
                result.Add(Value(depth + 1));
                Space();
                if (Peek() == ']') { at++; return result; }
                Expect(',');
            }
        }

        string String()
        {
            var result = new StringBuilder();
            at++;
            while (Peek() != '"')
            {
                char c = text[at++];
                if (c == '\\')
                {
                    c = Peek();
                    at++;
                    int place = "bfnrt".IndexOf(c);
                    if (c == 'u')
                    {
                        ushort code;
                        if (at + 4 > text.Length || !ushort.TryParse(text.Substring(at, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out code))
                            throw new FormatException("a broken escape");
                        c = (char)code;
                        at += 4;
                    }
                    else if (place >= 0)
                        c = "\b\f\n\r\t"[place];
                }
                result.Append(c);
            }
            at++;
            return result.ToString();
        }

        object Number()
        {
            int start = at;
            while (at < text.Length && "+-.eE0123456789".IndexOf(text[at]) >= 0)
                at++;
            double value;
            if (!double.TryParse(text.Substring(start, at - start), NumberStyles.Float, CultureInfo.InvariantCulture, out value))
                throw new FormatException("no value");
            return value;
        }

        object Word(string word, object value)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0)
                throw new FormatException("no value");
            at += word.Length;
            return value;
        }

        char Peek()
        {
            if (at >= text.Length)
                throw new FormatException("cut short");
            return text[at];
        }

        void Expect(char c)
        {
            if (Peek() != c)
                throw new FormatException("expected " + c);
            at++;
        }

        void Space()
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0)
                at++;
        }
    }
}
