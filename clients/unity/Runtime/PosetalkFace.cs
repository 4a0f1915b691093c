// Moves blend shapes and the head of a character. The only file here that needs the engine.
using System;
using System.Collections.Generic;
using UnityEngine;

namespace Posetalk
{
    public sealed class PosetalkFace : MonoBehaviour
    {
        [Tooltip("Where posetalk serves.")]
        public string url = "ws://127.0.0.1:8765";
        public string token = "";
        [Tooltip("Meshes whose blend shapes have ARKit's names.")]
        public SkinnedMeshRenderer[] faces = new SkinnedMeshRenderer[0];
        [Tooltip("The bone that turns with the head; its pose at the start is straight ahead.")]
        public Transform head;
        [Tooltip("Seconds that frames are held back, to play evenly. Delay the sound as much.")]
        [Range(0, 1)]
        public float delay = 0.12f;

        [Tooltip("A voice of its own: what this face pushes, and nobody else.")]
        public bool ownSession;
        [Tooltip("By name or as a mix, with a session of its own; empty: the server's.")]
        public string ownStyle = "";
        public int ownSeed;

        /// The server listens, at first and after every reconnection.
        public event Action Connected;
        /// An error of the server: code and sentence.
        public event Action<string, string> Failed;

        readonly PlayOut playOut = new PlayOut { Rests = true };
        readonly float[] turn = new float[4];
        readonly List<int[]> maps = new List<int[]>();
        Connection connection;
        float[] values;
        int rotation = -1;
        Quaternion straight;

        /// The weight of a channel as it is shown now; 0 for one that is not there.
        public float Shown(string channel)
        {
            int at = connection == null ? -1 : Array.IndexOf(connection.Channels, channel);
            return at < 0 || values == null || at >= values.Length ? 0 : values[at];
        }

        public void Push(float[] samples, int sampleRate)
        {
            if (connection != null)
                connection.Push(samples, sampleRate);
        }

        public void Interrupt()
        {
            if (connection != null)
                connection.Interrupt();
        }

        public void Style(string style)
        {
            if (connection != null)
                connection.Style(style);
        }

        void OnEnable()
        {
            if (head != null)
                straight = head.localRotation;
            connection = new Connection(url, "arkit52", false, token);
            connection.Start();
        }

        void OnDisable()
        {
            connection.Dispose();
            connection = null;
            playOut.Clear();
        }

        void Update()
        {
            double now = Time.realtimeSinceStartupAsDouble;
            Event happened;
            while (connection.TryTake(out happened))
                Take(happened, now);
            playOut.Delay = delay;
            if (playOut.Show(now, ref values))
                Show();
        }

        void Take(Event happened, double now)
        {
            switch (happened.Kind)
            {
                case EventKind.Hello:
                    playOut.Clear();
                    Map(connection.Channels);
                    if (ownSession)
                        connection.Open(ownStyle, ownSeed);
                    else if (Connected != null)
                        Connected();
                    break;
                case EventKind.Opened:
                    playOut.Clear();
                    if (Connected != null)
                        Connected();
                    break;
                case EventKind.Frame:
                    playOut.Add(happened.Message.Sample, happened.Message.Values, now);
                    break;
                case EventKind.Interrupted:
                    playOut.Cut((long)Json.Number(happened.Text, "sample"));
                    break;
                case EventKind.Lost:
                case EventKind.End:
                case EventKind.Closed:
                    playOut.End(now);
                    break;
                case EventKind.Error:
                    Debug.LogWarning("posetalk: " + happened.Sentence);
                    if (Failed != null)
                        Failed(happened.Code, happened.Sentence);
                    break;
            }
        }

        void Map(string[] channels)
        {
            maps.Clear();
            foreach (SkinnedMeshRenderer face in faces)
            {
                var names = new string[face.sharedMesh.blendShapeCount];
                for (int i = 0; i < names.Length; i++)
                    names[i] = face.sharedMesh.GetBlendShapeName(i);
                maps.Add(ChannelMap.Match(channels, names));
            }
            rotation = Array.IndexOf(channels, "headRotationX");
        }

        void Show()
        {
            for (int f = 0; f < maps.Count; f++)
                for (int i = 0; i < values.Length && i < maps[f].Length; i++)
                    if (maps[f][i] >= 0)
                        faces[f].SetBlendShapeWeight(maps[f][i], 100 * values[i]);
            if (head == null || rotation < 0 || rotation + 2 >= values.Length)
                return;
            ChannelMap.UnityRotation(values[rotation], values[rotation + 1], values[rotation + 2], turn);
            head.localRotation = straight * new Quaternion(turn[0], turn[1], turn[2], turn[3]);
        }
    }
}
