// posetalk's wire as pure values (docs/protocol.md): no engine, no sockets.
using System;

namespace Posetalk
{
    /// What a peer sent is not the protocol; Code is for programs.
    public sealed class WireException : Exception
    {
        public readonly string Code;

        public WireException(string code, string message) : base(message)
        {
            Code = code;
        }
    }

    /// One binary message. Values: motion, sound in -1..1, or triangle corners in Corners.
    public sealed class Message
    {
        public int Type;
        public uint Sequence;
        public long Sample;
        public float[] Values = new float[0];
        public uint[] Corners = new uint[0];

        /// "flame", "arkit52" or "vertices"; null for other types.
        public string Set
        {
            get { return Type == 1 ? "flame" : Type == 2 ? "arkit52" : Type == 3 ? "vertices" : null; }
        }
    }

    public static class Wire
    {
        public const int Protocol = 1;
        public const int SampleRate = 16000;
        public const int HeaderBytes = 24;
        public const int Faces = 4;
        public const int Sound = 16;
        const uint Magic = 0x314b5450;
        const int Int16Flag = 1;

        /// Reads a message. Types unknown here come without values, to be skipped.
        public static Message Decode(byte[] data, int length)
        {
            if (length < HeaderBytes)
                throw new WireException("truncated", length + " bytes are shorter than the header");
            if (UInt32(data, 0) != Magic)
                throw new WireException("magic", "the message does not start with PTK1");
            if (data[4] != Protocol)
                throw Mismatch(data[4].ToString());
            int flags = data[6] | data[7] << 8;
            var message = new Message
            {
                Type = data[5],
                Sequence = UInt32(data, 8),
                Sample = (long)(UInt32(data, 12) | (ulong)UInt32(data, 16) << 32),
            };
            if (message.Set == null && message.Type != Faces && message.Type != Sound)
                return message;
            bool small = message.Type == Sound && (flags & Int16Flag) != 0;
            long count = UInt32(data, 20);
            if (count * (small ? 2 : 4) != length - HeaderBytes)
                throw new WireException("length", count + " elements are announced, " + (length - HeaderBytes) + " bytes follow");
            if (message.Type == Faces)
            {
                message.Corners = new uint[count];
                for (int i = 0; i < count; i++)
                    message.Corners[i] = UInt32(data, HeaderBytes + 4 * i);
                return message;
            }
            message.Values = new float[count];
            for (int i = 0; i < count; i++)
            {
                float value = small
                    ? (short)(data[HeaderBytes + 2 * i] | data[HeaderBytes + 2 * i + 1] << 8) / 32768f
                    : Single(data, HeaderBytes + 4 * i);
                if (message.Type != Sound && (float.IsNaN(value) || float.IsInfinity(value)))
                    throw new WireException("not_finite", "the payload holds numbers that are not finite");
                message.Values[i] = value;
            }
            return message;
        }

        /// Sound to be spoken: `count` samples in -1..1 from `start`, sent as 16 bit.
        public static byte[] EncodeSound(float[] samples, int start, int count, uint sequence)
        {
            var data = new byte[HeaderBytes + 2 * count];
            Put(data, 0, Magic);
            data[4] = Protocol;
            data[5] = Sound;
            data[6] = Int16Flag;
            Put(data, 8, sequence);
            Put(data, 20, (uint)count);
            for (int i = 0; i < count; i++)
            {
                double scaled = Math.Round(samples[start + i] * 32767.0);
                short value = (short)Math.Max(-32768, Math.Min(32767, scaled));
                data[HeaderBytes + 2 * i] = (byte)value;
                data[HeaderBytes + 2 * i + 1] = (byte)(value >> 8);
            }
            return data;
        }

        public static WireException Mismatch(string theirs)
        {
            return new WireException("version", "the server speaks protocol " + theirs + ", this client " + Protocol + ": update the older");
        }

        static uint UInt32(byte[] data, int at)
        {
            return (uint)(data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24);
        }

        static void Put(byte[] data, int at, uint value)
        {
            for (int i = 0; i < 4; i++)
                data[at + i] = (byte)(value >> 8 * i);
        }

        static float Single(byte[] data, int at)
        {
            if (BitConverter.IsLittleEndian)
                return BitConverter.ToSingle(data, at);
            return BitConverter.ToSingle(new[] { data[at + 3], data[at + 2], data[at + 1], data[at] }, 0);
        }
    }
}
