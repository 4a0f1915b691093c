// Frames come in bursts; this shows each at its time, and what lies between two. No engine here.
using System;
using System.Collections.Generic;

namespace Posetalk
{
    public sealed class PlayOut
    {
        const int MostWaiting = 100; // newest wins
        const double Forget = 1e-4; // seconds per frame: follows clocks that drift

        sealed class Frame
        {
            public long Sample;
            public float[] Values;
        }

        readonly LinkedList<Frame> frames = new LinkedList<Frame>();
        double first = double.NegativeInfinity; // seconds that the server's clock is ahead of ours, less the way

        /// Seconds that frames are held back; constant, so that sound may be delayed as much.
        public double Delay = 0.12;

        /// Frames that were never shown because too many waited.
        public int Dropped { get; private set; }

        /// Takes a frame that arrived at `now` seconds, on the clock that Show goes by.
        public void Add(long sample, float[] values, double now)
        {
            double early = sample / (double)Wire.SampleRate - now;
            first = Math.Max(early, first - Forget);
            if (frames.Last != null && sample <= frames.Last.Value.Sample)
                Cut(sample); // the server takes frames back
            frames.AddLast(new Frame { Sample = sample, Values = values });
            if (frames.Count > MostWaiting)
            {
                frames.RemoveFirst();
                Dropped++;
            }
        }

        /// Forgets the frames from this sample on.
        public void Cut(long sample)
        {
            while (frames.Last != null && frames.Last.Value.Sample >= sample)
                frames.RemoveLast();
        }

        public void Clear()
        {
            frames.Clear();
            first = double.NegativeInfinity;
        }

        /// The sample that is shown at `now`.
        public double SampleAt(double now)
        {
            return (now + first - Delay) * Wire.SampleRate;
        }

        /// The face at `now` into `values`, which is made as long as it needs; false while there is none.
        public bool Show(double now, ref float[] values)
        {
            double at = SampleAt(now);
            while (frames.Count > 1 && frames.First.Next.Value.Sample <= at)
                frames.RemoveFirst();
            if (frames.First == null || frames.First.Value.Sample > at)
                return false;
            float[] from = frames.First.Value.Values;
            if (values == null || values.Length != from.Length)
                values = new float[from.Length];
            float[] to = from;
            float part = 0;
            if (frames.First.Next != null && frames.First.Next.Value.Values.Length == from.Length)
            {
                Frame next = frames.First.Next.Value;
                to = next.Values;
                part = (float)((at - frames.First.Value.Sample) / (next.Sample - frames.First.Value.Sample));
            }
            for (int i = 0; i < values.Length; i++)
                values[i] = from[i] + part * (to[i] - from[i]);
            return true;
        }
    }
}
