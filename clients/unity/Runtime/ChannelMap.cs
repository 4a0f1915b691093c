// Which channel moves which blend shape, by name. No engine here.
using System;
using System.Collections.Generic;

namespace Posetalk
{
    public static class ChannelMap
    {
        /// For each channel the index of its blend shape, or -1. Models spell ARKit's names in many ways:
        /// jawOpen, JawOpen, face.jawOpen, jaw_open, eyeBlink_L.
        public static int[] Match(IList<string> channels, IList<string> blendShapes)
        {
            var known = new Dictionary<string, int>();
            for (int i = blendShapes.Count - 1; i >= 0; i--)
                known[Plain(blendShapes[i])] = i;
            var result = new int[channels.Count];
            for (int i = 0; i < result.Length; i++)
                if (!known.TryGetValue(Plain(channels[i]), out result[i]))
                    result[i] = -1;
            return result;
        }

        /// A name without what is in front of a dot, in small letters, _L and _R written out.
        public static string Plain(string name)
        {
            name = name.Substring(name.LastIndexOf('.') + 1);
            if (name.EndsWith("_L", StringComparison.OrdinalIgnoreCase))
                name = name.Substring(0, name.Length - 2) + "Left";
            else if (name.EndsWith("_R", StringComparison.OrdinalIgnoreCase))
                name = name.Substring(0, name.Length - 2) + "Right";
            return name.Replace("_", "").Replace(" ", "").ToLowerInvariant();
        }

        /// Rotation as axis-angle in the wire's axes (x to the head's left) to a quaternion x, y, z, w in Unity's
        /// (x to the right, left-handed).
        public static void UnityRotation(float x, float y, float z, float[] quaternion)
        {
            double angle = Math.Sqrt((double)x * x + (double)y * y + (double)z * z);
            double factor = angle < 1e-9 ? 0.5 : Math.Sin(angle / 2) / angle;
            quaternion[0] = (float)(x * factor);
            quaternion[1] = (float)(-y * factor);
            quaternion[2] = (float)(-z * factor);
            quaternion[3] = (float)Math.Cos(angle / 2);
        }
    }
}
