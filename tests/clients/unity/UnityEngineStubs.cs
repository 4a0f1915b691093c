// As much of UnityEngine as PosetalkFace uses, so that it can be compiled and run without Unity.
using System;
using System.Collections.Generic;
using System.Diagnostics;

namespace UnityEngine
{
    public class MonoBehaviour { }

    public class TooltipAttribute : Attribute { public TooltipAttribute(string text) { } }

    public class RangeAttribute : Attribute { public RangeAttribute(float least, float most) { } }

    public struct Quaternion
    {
        public float x, y, z, w;
        public Quaternion(float x, float y, float z, float w) { this.x = x; this.y = y; this.z = z; this.w = w; }
        public static Quaternion operator *(Quaternion a, Quaternion b)
        {
            return new Quaternion(
                a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
                a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
                a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
                a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z);
        }
    }

    public class Transform { public Quaternion localRotation = new Quaternion(0, 0, 0, 1); }

    public class Mesh
    {
        readonly string[] names;
        public Mesh(params string[] names) { this.names = names; }
        public int blendShapeCount { get { return names.Length; } }
        public string GetBlendShapeName(int index) { return names[index]; }
    }

    public class SkinnedMeshRenderer
    {
        public Mesh sharedMesh;
        public readonly Dictionary<int, float> weights = new Dictionary<int, float>();
        public void SetBlendShapeWeight(int index, float weight) { weights[index] = weight; }
    }

    public static class Time
    {
        static readonly Stopwatch watch = Stopwatch.StartNew();
        public static double realtimeSinceStartupAsDouble { get { return watch.Elapsed.TotalSeconds; } }
    }

    public static class Debug { public static void LogWarning(object text) { Console.Error.WriteLine(text); } }
}
