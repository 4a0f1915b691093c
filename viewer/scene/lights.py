"""The look: a warm key light, a cool fill, a rim from behind, a soft backdrop, as two shaders.

pyrender's own physically based shader serves any scene with any lights; a portrait needs less and
wants more: light that bleeds into the shadow edge of skin, a rim, a bright point in the eye. These
shaders do that in about half the time on a software renderer. Key and fill stand before the face,
where their shadows are baked; the rim follows the camera. Colours are linear, gamma 2 outside.
What is handed on is `centroid`: at a body's outline it is a guess else, seen as a wrong pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Directions towards each light: x to the subject's left, y up, z out of the face.
LIGHTS = {"key_direction": (-0.48, 0.46, 0.88), "fill_direction": (0.78, 0.10, 0.70)}
# Towards the light behind, in camera space, so that there is always an edge of light.
RIM_DIRECTION = (0.72, 0.42, -0.62)

VERTEX = """
#version 330 core
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec2 sky_and_softness;  // share of the sky seen; translucency
layout(location = 3) in vec2 key_and_fill;      // shares of the two lights seen
layout(location = 4) in vec4 colour;            // linear rgb, roughness
uniform mat4 view;
uniform mat4 projection;
centroid out vec3 at;
centroid out vec3 facing;
centroid out vec4 trait;
centroid out vec4 paint;
void main() {
    vec4 seen = view * vec4(position, 1.0);
    gl_Position = projection * seen;
    at = seen.xyz;
    facing = mat3(view) * normal;
    trait = vec4(sky_and_softness, key_and_fill);
    paint = colour;
}
"""

FRAGMENT = """
#version 330 core
centroid in vec3 at;
centroid in vec3 facing;
centroid in vec4 trait;
centroid in vec4 paint;
uniform vec3 key_direction;
uniform vec3 fill_direction;
uniform vec3 rim_direction;
out vec4 shown;

vec3 wrapped(float cosine, vec3 wrap) {   // light that creeps past the terminator, red furthest
    return max((cosine + wrap) / (1.0 + wrap), 0.0);
}

float glint(vec3 n, vec3 light, vec3 eye, float power) {
    float h = max(dot(n, normalize(light + eye)), 0.0);
    return exp2(power * (h - 1.0));   // a cheap stand-in for pow(h, power)
}

float softbox(vec3 mirrored, vec3 light, vec2 half_size) {   // a lamp with edges, seen in wet eyes
    vec3 side = normalize(cross(vec3(0.0, 1.0, 0.0), light));
    vec3 up = cross(light, side);
    float ahead = dot(mirrored, light);
    vec2 off = abs(vec2(dot(mirrored, side), dot(mirrored, up))) / max(ahead, 0.01);
    vec2 inside = 1.0 - smoothstep(half_size, half_size + 0.10, off);
    return ahead > 0.0 ? inside.x * inside.y : 0.0;
}

vec3 filmic(vec3 x) {   // a shoulder that keeps the warmth of lights, and a toe
    vec3 y = clamp(x * (1.0 + 0.16 * x) / (1.0 + 0.50 * x), 0.0, 1.0);
    return mix(y, y * y * (3.0 - 2.0 * y), 0.12);
}

void main() {
    // Slivers between two triangles count as seen from behind by chance: the normal tells, too.
    bool behind = !gl_FrontFacing && dot(facing, at) > 0.0;
    vec3 n = normalize(behind ? -facing : facing);
    vec3 eye = normalize(-at);
    float open = max(trait.x, 0.0), soft = trait.y, rough = paint.a;
    float key = clamp(trait.z, 0.0, 1.0);
    float enamel = 4.0 * soft * (1.0 - soft);   // 1 where light shines in by half
    vec3 wrap = soft * vec3(0.38, 0.16, 0.10);
    // In skin, shadow edges redden: red light travels furthest below the surface.
    vec3 key_seen = mix(vec3(key), sqrt(vec3(key)), soft * vec3(0.7, 0.15, 0.0));
    float facing_key = dot(n, key_direction);
    float edge_of_light = soft * key * exp2(-22.0 * (facing_key - 0.08) * (facing_key - 0.08));

    vec3 sky = mix(vec3(0.19, 0.13, 0.105), vec3(0.36, 0.37, 0.41), 0.5 + 0.5 * n.y);
    vec3 light = sky * mix(vec3(open), vec3(sqrt(open), open, open), soft)
        + vec3(1.45, 1.28, 1.09) * wrapped(facing_key, wrap) * key_seen
        + vec3(0.05, 0.016, 0.004) * edge_of_light
        // Tongue and lips light teeth from below: their biting edges are no brace.
        + vec3(0.62, 0.53, 0.49) * enamel * max(-n.y, 0.0)
        + vec3(0.30, 0.34, 0.41) * wrapped(dot(n, fill_direction), wrap) * trait.w;

    float edge = 1.0 - max(dot(n, eye), 0.0);
    float fresnel = edge * edge * edge;
    float rim = max(dot(n, rim_direction), 0.0) * (0.2 + 0.8 * fresnel)
        + 0.45 * max(dot(n, rim_direction * vec3(-1.0, 1.0, 1.0)), 0.0) * (0.2 + 0.8 * fresnel);
    rim *= open * smoothstep(0.60, 0.90, open);   // none in the mouth
    float polish = (1.0 - rough) * (1.0 - rough);
    float power = mix(16.0, 700.0, polish * polish);
    float strength = 0.02 + 0.45 * polish + 0.5 * polish * polish;
    float shine = strength * (glint(n, key_direction, eye, power) * key
        + 0.35 * glint(n, fill_direction, eye, power) * trait.w)
        + 0.16 * fresnel * open * (1.0 - rough);
    float wet = clamp((0.40 - rough) * 6.0, 0.0, 1.0);
    if (wet > 0.0) {
        vec3 mirrored = reflect(-eye, n);
        shine += wet * wet * open * (1.6 * softbox(mirrored, key_direction, vec2(0.15, 0.20)) * key
            + 0.16 * softbox(mirrored, fill_direction, vec2(0.10, 0.34)));
    }

    vec3 linear = paint.rgb * light + vec3(0.95, 0.97, 1.0) * (shine + 0.68 * rim);
    shown = vec4(sqrt(filmic(linear)), 1.0);
}
"""

BACKDROP_VERTEX = """
#version 330 core
out vec2 place;
void main() {
    place = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2)) * 2.0 - 1.0;
    gl_Position = vec4(place, 0.9999, 1.0);
}
"""

BACKDROP_FRAGMENT = """
#version 330 core
in vec2 place;
out vec4 shown;
void main() {
    vec2 off = (place - vec2(0.15, 0.0)) * vec2(0.8, 0.7);
    float glow = 1.0 / (1.0 + 0.9 * dot(off, off));
    vec3 tone = mix(vec3(0.115, 0.150, 0.185), vec3(0.49, 0.55, 0.58), glow * glow);
    // Half a grey level of noise: a smooth gradient in 8 bits shows bands otherwise.
    float noise = fract(52.98 * fract(dot(gl_FragCoord.xy, vec2(0.0671, 0.00584)))) - 0.5;
    shown = vec4(tone + noise / 255.0, 1.0);
}
"""


def light_directions() -> dict[str, Floats]:
    """Unit directions (3,) towards key and fill, before the face."""
    return {name: unit(vector) for name, vector in LIGHTS.items()}


def light_uniforms(view: NDArray[np.floating]) -> dict[str, Floats]:
    """Unit directions (3,) by uniform name, in the space of a camera's view matrix (4, 4)."""
    turn = np.asarray(view, np.float32)[:3, :3]
    seen = {name: turn @ vector for name, vector in light_directions().items()}
    return seen | {"rim_direction": unit(RIM_DIRECTION)}


def unit(vector: tuple[float, float, float]) -> Floats:
    """The vector (3,) with length one."""
    array = np.asarray(vector, np.float32)
    return (array / np.linalg.norm(array)).astype(np.float32)
