// Frames come in bursts; this shows each at its time, what lies between two, and a face that goes to rest when no
// more come. No engine here.
using System;
using System.Collections.Generic;

namespace Posetalk
{
    public sealed class PlayOut
    {
        const int MostWaiting = 100; // newest wins
        const double Forget = 1e-4; // seconds per frame: follows clocks that drift
        const double HoldSeconds = 0.6; // a face without frames holds still for so long: a network stutters
        const double RestSeconds = 0.4; // then, or at once where the stream is over, it goes to rest

        sealed class Frame
        {
            public long Sample;
            public float[] Values;
        }

        readonly LinkedList<Frame> frames = new LinkedList<Frame>();
        double first = double.NegativeInfinity; // seconds that the server's clock is ahead of ours, less the way

        float[] kept; // what was shown last of the motion, also after Clear
        double due; // when that was: from then on nothing newer is there
        double over = double.PositiveInfinity; // when it was told that nothing more comes
        double left; // of the motion in what was shown: 1 where it moves, 0 at rest

        /// Seconds that frames are held back; constant, so that sound may be delayed as much.
        public double Delay = 0.12;

        /// Whether a face without frames goes to rest, which is zeros: of arkit52 and flame, not of vertices.
        public bool Rests;

        /// Frames that were never shown because too many waited.
        public int Dropped { get; private set; }

        /// Takes a frame that arrived at `now` seconds, on the clock that Show goes by.
        public void Add(long sample, float[] values, double now)
        {
            over = double.PositiveInfinity;
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

        /// Nothing more comes, as is told at `now`: what waits is shown, and then the face goes to rest.
        public void End(double now)
        {
            over = Math.Min(over, now);
        }

        /// Begins a new stream; the face goes to rest until its first frame.
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

        /// The face at `now` into `values`, which is made as long as it needs; false where there is none, or it
        /// rests as it did before.
        public bool Show(double now, ref float[] values)
        {
            bool moves = Keep(now);
            if (kept == null || !moves && !Rests)
                return false;
            double begin = Rests ? Math.Min(due + HoldSeconds, Math.Max(due, over)) : now;
            double share = 1 - Math.Max(0, Math.Min(1, (now - begin) / RestSeconds));
            if (share == 0 && left == 0)
                return false;
            left = share;
            var eased = (float)(share * share * (3 - 2 * share));
            if (values == null || values.Length != kept.Length)
                values = new float[kept.Length];
            for (int i = 0; i < values.Length; i++)
                values[i] = eased * kept[i];
            return true;
        }

        // Whether there is a frame that is due.
        bool Keep(double now)
        {
            double at = SampleAt(now);
            while (frames.Count > 1 && frames.First.Next.Value.Sample <= at)
                frames.RemoveFirst();
            if (frames.First == null || frames.First.Value.Sample > at)
                return false;
            Frame frame = frames.First.Value, next = null;
            if (frames.First.Next != null && frames.First.Next.Value.Values.Length == frame.Values.Length)
                next = frames.First.Next.Value;
            double since = at - frame.Sample; // samples
            due = next == null ? now - since / Wire.SampleRate : now;
            if (kept == null || kept.Length != frame.Values.Length)
                kept = new float[frame.Values.Length];
            float part = next == null ? 0 : (float)(since / (next.Sample - frame.Sample));
            for (int i = 0; i < kept.Length; i++)
                kept[i] = next == null ? frame.Values[i] : frame.Values[i] + part * (next.Values[i] - frame.Values[i]);
            return true;
        }
    }
}
