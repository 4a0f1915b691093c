// PosetalkFace on stubs of the engine, following a real server through a restart: JSON lines.
using System;
using System.Globalization;
using System.Reflection;
using System.Threading;
using Posetalk;
using UnityEngine;

public static class Follow
{
    static void Say(string format, params object[] values)
    {
        Console.WriteLine(string.Format(CultureInfo.InvariantCulture, format, values));
        Console.Out.Flush();
    }

    static void Call(object behaviour, string method)
    {
        behaviour.GetType().GetMethod(method, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(behaviour, null);
    }

    public static int Main(string[] arguments)
    {
        var mesh = new SkinnedMeshRenderer { sharedMesh = new Mesh("smirk", "head.JawOpen", "eyeBlink_L") };
        var face = new PosetalkFace { url = arguments[0], token = arguments.Length > 1 ? arguments[1] : "", faces = new[] { mesh }, head = new Transform(), ownSession = true };
        bool done = false, pushed = false, asked = false, shut = false;
        float widest = 0;
        face.Connected += () =>
        {
            Say("{{\"event\":\"connected\"}}");
            pushed = asked = shut = false;
            widest = 0;
            mesh.weights.Clear();
        };
        face.Failed += (code, sentence) =>
        {
            Say("{{\"event\":\"error\",\"code\":\"{0}\"}}", code);
            done = code == "version";
        };
        Call(face, "OnEnable");
        var noise = new float[24000];
        var random = new System.Random(0);
        for (int i = 0; i < noise.Length; i++)
            noise[i] = (float)random.NextDouble() - 0.5f;
        while (!done)
        {
            Call(face, "Update");
            if (mesh.weights.ContainsKey(1))
            {
                if (!pushed)
                    face.Push(noise, 24000);
                pushed = true;
                if (Math.Abs(mesh.weights[1] - 100 * face.Shown("jawOpen")) > 1e-4 || mesh.weights.ContainsKey(0))
                    Say("{{\"event\":\"wrong\"}}");
                widest = Math.Max(widest, mesh.weights[1]);
                if (asked && !shut && mesh.weights[1] < 1)
                {
                    shut = true;
                    Say("{{\"event\":\"shut\"}}");
                }
            }
            if (widest > 20 && !asked)
            {
                Say("{{\"event\":\"frames\",\"widest\":{0},\"blink\":{1}}}", widest, mesh.weights.ContainsKey(2) ? "true" : "false");
                face.Style("opera");
                face.Interrupt();
                asked = true;
            }
            Thread.Sleep(16);
        }
        Call(face, "OnDisable");
        return 0;
    }
}
