// posetalk's wire as pure values (docs/protocol.md), and what a player does with frames.
// Standard C++17 without engine types, so that it can be tested without the engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <limits>
#include <string>
#include <vector>

namespace posetalk
{
constexpr int Protocol = 1;
constexpr int SampleRate = 16000;
constexpr std::size_t HeaderBytes = 24;

enum Type : std::uint8_t { Flame = 1, Arkit52 = 2, Vertices = 3, Faces = 4, Sound = 16 };

struct Message
{
	std::uint8_t type = 0;
	std::uint32_t sequence = 0;
	std::int64_t sample = 0;
	std::vector<float> values;          // motion, or sound in -1..1
	std::vector<std::uint32_t> corners; // triangles
	const char* error = nullptr;        // the protocol's code, if the message is malformed
};

namespace detail
{
inline std::uint64_t Number(const std::uint8_t* data, int bytes)
{
	std::uint64_t value = 0;
	for (int i = 0; i < bytes; ++i)
		value |= std::uint64_t(data[i]) << (8 * i);
	return value;
}

inline void Put(std::vector<std::uint8_t>& data, std::size_t at, std::uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; ++i)
		data[at + i] = std::uint8_t(value >> (8 * i));
}

inline float Float(const std::uint8_t* data)
{
	const auto bits = std::uint32_t(Number(data, 4));
	float value;
	std::memcpy(&value, &bits, 4);
	return value;
}
} // namespace detail

inline bool IsMotion(std::uint8_t type) { return type >= Flame && type <= Vertices; }

// Reads a binary message. Types unknown here come without values, to be skipped.
inline Message Decode(const std::uint8_t* data, std::size_t length)
{
	using namespace detail;
	Message message;
	const auto fail = [&message](const char* code) { message.error = code; return message; };
	if (length < HeaderBytes) return fail("truncated");
	if (std::memcmp(data, "PTK1", 4) != 0) return fail("magic");
	if (data[4] != Protocol) return fail("version");
	message.type = data[5];
	message.sequence = std::uint32_t(Number(data + 8, 4));
	message.sample = std::int64_t(Number(data + 12, 8));
	if (!IsMotion(message.type) && message.type != Faces && message.type != Sound) return message;
	const bool small = message.type == Sound && (data[6] & 1);
	const std::uint64_t count = Number(data + 20, 4);
	const std::uint8_t* payload = data + HeaderBytes;
	if (count * (small ? 2 : 4) != length - HeaderBytes) return fail("length");
	if (message.type == Faces)
	{
		message.corners.reserve(count);
		for (std::uint64_t i = 0; i < count; ++i)
			message.corners.push_back(std::uint32_t(Number(payload + 4 * i, 4)));
		return message;
	}
	message.values.reserve(count);
	for (std::uint64_t i = 0; i < count; ++i)
	{
		const float value = small ? std::int16_t(Number(payload + 2 * i, 2)) / 32768.0f : Float(payload + 4 * i);
		if (message.type != Sound && !std::isfinite(value))
		{
			message.values.clear();
			return fail("not_finite");
		}
		message.values.push_back(value);
	}
	return message;
}

// Sound to be spoken: mono samples in -1..1, sent as 16 bit.
inline std::vector<std::uint8_t> EncodeSound(const float* samples, std::size_t count, std::uint32_t sequence)
{
	std::vector<std::uint8_t> data(HeaderBytes + 2 * count);
	std::memcpy(data.data(), "PTK1", 4);
	data[4] = Protocol;
	data[5] = Sound;
	data[6] = 1;
	detail::Put(data, 8, sequence, 4);
	detail::Put(data, 20, count, 4);
	for (std::size_t i = 0; i < count; ++i)
	{
		const float scaled = std::round(std::clamp(samples[i] * 32767.0f, -32768.0f, 32767.0f));
		detail::Put(data, HeaderBytes + 2 * i, std::uint16_t(std::int16_t(scaled)), 2);
	}
	return data;
}

// A name as it is compared: small letters, without _, with _L and _R written out.
inline std::string PlainName(std::string name)
{
	const auto ends = [&name](char side) {
		return name.size() > 2 && name[name.size() - 2] == '_' && (name.back() | 32) == side;
	};
	if (ends('l')) name = name.substr(0, name.size() - 2) + "Left";
	else if (ends('r')) name = name.substr(0, name.size() - 2) + "Right";
	std::string plain;
	for (const char c : name)
		if (c != '_') plain.push_back(c >= 'A' && c <= 'Z' ? char(c + 32) : c);
	return plain;
}

struct Rotation { double yaw = 0, pitch = 0, roll = 0; }; // degrees, as Unreal's FRotator

// Axis-angle in the wire's axes (x to the head's left, y up, z forward; right-handed) to Unreal's rotation of a
// thing that looks along +X with +Y to its right and +Z up (left-handed).
inline Rotation UnrealRotation(double x, double y, double z)
{
	const double angle = std::sqrt(x * x + y * y + z * z);
	const double s = angle < 1e-9 ? 0.5 : std::sin(angle / 2) / angle;
	// Forward, right, up are z, -x, y here. The mirror turns the sense of the rotation round.
	const double qx = -z * s, qy = x * s, qz = -y * s, qw = std::cos(angle / 2);
	const double degrees = 57.29577951308232;
	Rotation result;
	const double singular = qz * qx - qw * qy;
	result.pitch = std::asin(std::clamp(2 * singular, -1.0, 1.0)) * degrees;
	result.yaw = std::atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz)) * degrees;
	result.roll = std::atan2(-2 * (qw * qx + qy * qz), 1 - 2 * (qx * qx + qy * qy)) * degrees;
	return result;
}

// Frames come in bursts; this shows each at its time, what lies between two, and a face that goes to rest when no more
// come.
class PlayOut
{
public:
	double delay = 0.12; // seconds that frames are held back
	// Whether a face without frames goes to rest, which is zeros: of arkit52 and flame, not of vertices.
	bool rests = false;

	// Takes a frame that arrived at `now` seconds.
	void Add(std::int64_t sample, std::vector<float> values, double now)
	{
		over = Never;
		// The frame that took least says where the server's clock is; the rest follows clocks that drift.
		first = std::max(double(sample) / SampleRate - now, first - 1e-4);
		Cut(sample);
		frames.push_back({sample, std::move(values)});
		if (frames.size() > 100) frames.pop_front(); // newest wins
	}

	// Forgets the frames from this sample on.
	void Cut(std::int64_t sample)
	{
		while (!frames.empty() && frames.back().sample >= sample) frames.pop_back();
	}

	// Nothing more comes, as is told at `now`: what waits is shown, and then the face goes to rest.
	void End(double now) { over = std::min(over, now); }

	// Begins a new stream; the face goes to rest until its first frame.
	void Clear()
	{
		frames.clear();
		first = -Never;
	}

	// The face at `now`; false where there is none, or it rests as it did before.
	bool Show(double now, std::vector<float>& values)
	{
		const bool moves = Keep(now);
		if (kept.empty() || (!moves && !rests)) return false;
		const double begin = rests ? std::min(due + HoldSeconds, std::max(due, over)) : now;
		const double share = 1 - std::clamp((now - begin) / RestSeconds, 0.0, 1.0);
		if (share == 0 && left == 0) return false;
		left = share;
		values = kept;
		for (float& value : values) value *= float(share * share * (3 - 2 * share));
		return true;
	}

private:
	struct Frame
	{
		std::int64_t sample;
		std::vector<float> values;
	};
	static constexpr double Never = std::numeric_limits<double>::infinity();
	static constexpr double HoldSeconds = 0.6; // a face without frames holds still for so long: a network stutters
	static constexpr double RestSeconds = 0.4; // then, or at once where the stream is over, it goes to rest

	// Whether there is a frame that is due.
	bool Keep(double now)
	{
		const double at = (now + first - delay) * SampleRate;
		while (frames.size() > 1 && double(frames[1].sample) <= at) frames.pop_front();
		if (frames.empty() || double(frames[0].sample) > at) return false;
		const double since = at - double(frames[0].sample); // samples
		kept = frames[0].values;
		due = now;
		if (frames.size() > 1 && frames[1].values.size() == kept.size())
		{
			const double part = since / double(frames[1].sample - frames[0].sample);
			for (std::size_t i = 0; i < kept.size(); ++i)
				kept[i] += float(part) * (frames[1].values[i] - kept[i]);
		}
		else due -= since / SampleRate;
		return true;
	}

	std::deque<Frame> frames;
	double first = -Never;
	std::vector<float> kept; // what was shown last of the motion, also after Clear
	double due = 0; // when that was: from then on nothing newer is there
	double over = Never; // when it was told that nothing more comes
	double left = 0; // of the motion in what was shown: 1 where it moves, 0 at rest
};
} // namespace posetalk
