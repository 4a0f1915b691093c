// The pure parts of the Unity client against the golden bytes, and on cases of their own.
using System;
using System.Collections.Generic;
using System.IO;
using Posetalk;

public static class Golden
{
    static void Expect(bool condition, string what)
    {
        if (!condition)
            throw new Exception(what);
    }

    public static int Main(string[] arguments)
    {
        string folder = arguments[0];
        var manifest = (Dictionary<string, object>)Json.Parse(File.ReadAllText(Path.Combine(folder, "manifest.json")));
        int wire = 0;
        foreach (KeyValuePair<string, object> entry in manifest)
            if (Check(Path.Combine(folder, entry.Key), (Dictionary<string, object>)entry.Value))
                wire++;
        Console.WriteLine("wire " + wire);
        PlayOutShowsFramesInTime();
        FacesComeToRest();
        NamesAreMatched();
        RotationsAreMirrored();
        SoundIsEncoded();
        Console.WriteLine("ok");
        return 0;
    }

    static bool Check(string path, Dictionary<string, object> wanted)
    {
        string name = Path.GetFileName(path), error = Json.Text(wanted, "error");
        byte[] data = File.ReadAllBytes(path);
        if (error == "field")
            return false; // this client trusts the fields of its server
        string code = "";
        Message message = null;
        Dictionary<string, object> text = null;
        try
        {
            if (name.EndsWith(".json"))
                text = Json.Message(System.Text.Encoding.UTF8.GetString(data));
            else
                message = Wire.Decode(data, data.Length);
        }
        catch (WireException problem)
        {
            code = problem.Code;
        }
        Expect(code == error, name + ": " + code + " instead of " + error);
        if (error != "" || wanted.ContainsKey("skip"))
        {
            Expect(message == null || message.Values.Length == 0, name + ": not skipped");
            return true;
        }
        if (text != null)
        {
            Expect(Same(text, wanted["text"]), name + ": other fields");
            return true;
        }
        var values = (List<object>)wanted["values"];
        bool faces = message.Type == Wire.Faces;
        Expect((faces ? message.Corners.Length : message.Values.Length) == values.Count, name + ": length");
        double scale = message.Type == Wire.Sound && Json.Number(wanted, "flags") == 1 ? 32768 : 1;
        for (int i = 0; i < values.Count; i++)
            Expect((faces ? message.Corners[i] : message.Values[i] * scale) == (double)values[i], name + ": value " + i);
        Expect(message.Type == Json.Number(wanted, "type"), name + ": type");
        Expect(message.Sample == Json.Number(wanted, "sample"), name + ": sample");
        Expect(message.Sequence == Json.Number(wanted, "sequence"), name + ": sequence");
        return true;
    }

    static bool Same(object a, object b)
    {
        var one = a as Dictionary<string, object>;
        if (one != null)
        {
            var other = (Dictionary<string, object>)b;
            foreach (string key in other.Keys)
                if (!one.ContainsKey(key) || !Same(one[key], other[key]))
                    return false;
            return one.Count == other.Count;
        }
        var list = a as List<object>;
        if (list == null)
            return Equals(a, b);
        var second = (List<object>)b;
        for (int i = 0; i < list.Count; i++)
            if (!Same(list[i], second[i]))
                return false;
        return list.Count == second.Count;
    }

    static void PlayOutShowsFramesInTime()
    {
        var playOut = new PlayOut { Delay = 0.1 };
        float[] values = null;
        Expect(!playOut.Show(0, ref values), "nothing to show yet");
        for (int hop = 0; hop < 5; hop++) // bursts of two frames, every 80 ms
            for (int k = 0; k < 2; k++)
                playOut.Add(640 * (2 * hop + k), new float[] { 2 * hop + k, -1 }, 10 + 0.08 * hop);
        // The second of a burst came at its own time less 40 ms of way: it is shown 100 ms later.
        Expect(playOut.Show(10.06 + 0.0005, ref values) && Math.Abs(values[0]) < 0.1, "frame 0 at 10.06: " + values[0]);
        Expect(playOut.Show(10.12, ref values) && Math.Abs(values[0] - 1.5) < 0.02, "between 1 and 2: " + values[0]);
        Expect(values[1] == -1, "other channels too");
        playOut.Cut(640 * 4);
        Expect(playOut.Show(11, ref values) && values[0] == 3, "the last frame stays after a cut");
        playOut.Add(640 * 4, new float[] { 40, 0 }, 10.5);
        playOut.Add(640 * 3, new float[] { 30, 0 }, 10.6);
        Expect(playOut.Show(12, ref values) && values[0] == 30, "a frame that comes again replaces");
        for (int k = 5; k < 300; k++)
            playOut.Add(640 * k, new float[] { k, 0 }, 10 + 0.04 * k);
        Expect(playOut.Dropped > 100, "too many waiting frames are dropped");
        playOut.Clear();
        Expect(!playOut.Show(20, ref values), "nothing after Clear");
    }

    // What is shown from `begin` on, 60 times a second, of a face that was shown frame 9: 1, -1.
    static List<float> AfterTheLast(Action<PlayOut> told, double begin, double seconds)
    {
        var playOut = new PlayOut { Delay = 0.1, Rests = true };
        float[] values = null;
        for (int k = 0; k < 10; k++)
            playOut.Add(640 * k, new float[] { 1, -1 }, 10 + 0.04 * k);
        Expect(playOut.Show(10.46, ref values) && values[0] == 1, "the last frame, when it is due");
        told(playOut);
        var shown = new List<float>();
        float before = 1;
        for (double now = begin; now < begin + seconds; now += 1 / 60.0)
        {
            bool drawn = playOut.Show(now, ref values);
            Expect(drawn || values[0] == before, "what is not drawn did not move");
            Expect(values[0] == -values[1], "all channels rest alike");
            Expect(values[0] <= before && values[0] > before - 0.07, "softly: " + values[0] + " after " + before);
            shown.Add(before = values[0]);
        }
        Expect(!playOut.Show(begin + seconds, ref values), "at rest nothing is drawn");
        return shown;
    }

    static void FacesComeToRest()
    {
        List<float> shown = AfterTheLast(playOut => playOut.End(10.4), 10.46, 0.5);
        Expect(shown[0] == 1 && shown[shown.Count - 1] == 0, "half a second after the end it is at rest");
        shown = AfterTheLast(playOut => { playOut.End(10.5); playOut.Clear(); }, 10.5, 0.5);
        Expect(shown[0] == 1 && shown[shown.Count - 1] == 0, "also where a new stream begins meanwhile");
        shown = AfterTheLast(playOut => { }, 10.46, 1.1);
        Expect(shown.FindAll(value => value == 1).Count > 30 && shown[shown.Count - 1] == 0, "unless told, it holds still before");
        shown = AfterTheLast(playOut => playOut.End(10.9), 10.9, 0.5);
        Expect(shown[0] == 1, "an end that is told late does not jump");

        var face = new PlayOut { Delay = 0.1, Rests = true };
        float[] values = null;
        face.Add(0, new float[] { 1 }, 10);
        face.End(10);
        Expect(face.Show(10.4, ref values) && values[0] < 0.5, "on its way to rest");
        face.Add(64000, new float[] { 1 }, 10.42);
        Expect(face.Show(10.53, ref values) && values[0] == 1, "new motion is shown at once");

        var vertices = new PlayOut { Delay = 0.1 };
        vertices.Add(0, new float[] { 1 }, 10);
        vertices.End(10);
        Expect(vertices.Show(20, ref values) && values[0] == 1, "zeros are no face of vertices");
    }

    static void NamesAreMatched()
    {
        string[] channels = { "jawOpen", "eyeBlinkLeft", "mouthSmileRight", "tongueOut" };
        int[] map = ChannelMap.Match(channels, new[] { "smirk", "Face.JawOpen", "eyeBlink_L", "mouth_smile_right" });
        Expect(string.Join(",", map) == "1,2,3,-1", "names: " + string.Join(",", map));
    }

    static void RotationsAreMirrored()
    {
        var q = new float[4];
        ChannelMap.UnityRotation(0.2f, 0, 0, q); // nods down: about x, in Unity too
        Expect(Math.Abs(q[0] - Math.Sin(0.1)) < 1e-6 && q[1] == 0 && Math.Abs(q[3] - Math.Cos(0.1)) < 1e-6, "nod");
        ChannelMap.UnityRotation(0, 0.2f, 0, q); // to its left: against Unity's y
        Expect(Math.Abs(q[1] + Math.Sin(0.1)) < 1e-6, "turn");
        ChannelMap.UnityRotation(0, 0, 0, q);
        Expect(q[0] == 0 && q[3] == 1, "straight ahead");
    }

    static void SoundIsEncoded()
    {
        byte[] data = Wire.EncodeSound(new[] { 9f, 0.5f, -2f }, 1, 2, 7);
        Message message = Wire.Decode(data, data.Length);
        Expect(message.Type == Wire.Sound && message.Sequence == 7 && message.Values.Length == 2, "sound");
        Expect(Math.Abs(message.Values[0] - 0.5) < 1e-4 && message.Values[1] == -1, "samples");
    }
}
