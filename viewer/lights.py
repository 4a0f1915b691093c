"""The look: a warm key light, a cool fill, a rim from behind, a soft backdrop, as two shaders.

pyrender's own physically based shader serves any scene with any lights; a portrait needs less and
wants more: light that bleeds into the shadow edge of skin, a rim, a bright point in the eye. These
shaders do that in about half the time on a software renderer. Lights are fixed to the camera,
so a face is flattered from wherever it is seen. Colours are linear inside, gamma 2 outside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Directions towards each light in camera space (x right, y up, z towards the viewer).
LIGHTS = {
    "key_direction": (-0.55, 0.62, 0.75),
    "fill_direction": (0.85, 0.10, 0.60),
    "rim_direction": (0.72, 0.42, -0.62),
}

VERTEX = """
#version 330 core
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec2 surface;   // ambient occlusion, translucency
layout(location = 3) in vec4 colour;    // linear rgb, roughness
uniform mat4 view;
uniform mat4 projection;
out vec3 at;
out vec3 facing;
out vec2 trait;
out vec4 paint;
void main() {
    vec4 seen = view * vec4(position, 1.0);
    gl_Position = projection * seen;
    at = seen.xyz;
    facing = mat3(view) * normal;
    trait = surface;
    paint = colour;
}
"""

FRAGMENT = """
#version 330 core
in vec3 at;
in vec3 facing;
in vec2 trait;
in vec4 paint;
uniform vec3 key_direction;
uniform vec3 fill_direction;
uniform vec3 rim_direction;
out vec4 shown;

vec3 wrapped(float cosine, vec3 wrap) {   // light that creeps past the terminator, red furthest
    return max((cosine + wrap) / (1.0 + wrap), 0.0);
}

float glint(vec3 n, vec3 light, vec3 eye, float power) {
    float h = max(dot(n, normalize(light + eye)), 0.0);
    return h * exp2(power * (h - 1.0));   // a cheap stand-in for pow(h, power)
}

void main() {
    vec3 n = normalize(gl_FrontFacing ? facing : -facing);
    vec3 eye = normalize(-at);
    float open = trait.x, soft = trait.y, rough = paint.a;
    vec3 wrap = soft * vec3(0.42, 0.20, 0.14);

    vec3 sky = mix(vec3(0.19, 0.155, 0.15), vec3(0.36, 0.39, 0.45), 0.5 + 0.5 * n.y);
    float shade = mix(0.42, 1.0, open);
    vec3 bleed = mix(vec3(1.0), vec3(1.0, 0.90, 0.86), soft * (1.0 - open));
    vec3 light = sky * open
        + vec3(1.62, 1.47, 1.30) * wrapped(dot(n, key_direction), wrap) * shade
        + vec3(0.29, 0.33, 0.40) * wrapped(dot(n, fill_direction), wrap) * shade;

    float edge = 1.0 - max(dot(n, eye), 0.0);
    float fresnel = edge * edge * edge;
    float rim = max(dot(n, rim_direction), 0.0) * (0.25 + 0.75 * fresnel);
    float power = mix(420.0, 9.0, sqrt(rough));
    float strength = mix(1.1, 0.035, sqrt(rough)) * open;
    float shine = strength * (glint(n, key_direction, eye, power)
        + 0.30 * glint(n, fill_direction, eye, power) + 0.35 * fresnel * (1.0 - rough));

    vec3 linear = paint.rgb * light * bleed + vec3(0.92, 0.95, 1.0) * (shine + 0.75 * rim * open);
    linear = linear * (1.0 + 0.18 * linear) / (1.0 + 0.62 * linear);   // soft shoulder
    shown = vec4(sqrt(clamp(linear, 0.0, 1.0)), 1.0);
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
    vec2 off = place - vec2(0.12, 0.05);
    float glow = 1.0 / (1.0 + 1.25 * dot(off, off));
    vec3 tone = mix(vec3(0.085, 0.100, 0.125), vec3(0.43, 0.47, 0.52), glow * glow);
    // Half a grey level of noise: a smooth gradient in 8 bits shows bands otherwise.
    float noise = fract(52.98 * fract(dot(gl_FragCoord.xy, vec2(0.0671, 0.00584)))) - 0.5;
    shown = vec4(tone + noise / 255.0, 1.0);
}
"""


def light_uniforms() -> dict[str, NDArray[np.float32]]:
    """Unit directions towards the lights, in camera space, by uniform name."""
    vectors = {name: np.asarray(v, np.float32) for name, v in LIGHTS.items()}
    return {name: v / np.linalg.norm(v) for name, v in vectors.items()}
