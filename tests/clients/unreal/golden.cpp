// The pure part of the Unreal client: `golden wire FILE...` prints each message on a line, as the test reads it;
// `golden parts` checks the rest.
#include "PosetalkWire.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

static void Expect(bool condition, const char* what)
{
	if (!condition)
	{
		std::fprintf(stderr, "%s\n", what);
		std::exit(1);
	}
}

static bool Near(double a, double b) { return std::fabs(a - b) < 1e-4; }

static void Print(const char* path)
{
	std::ifstream file(path, std::ios::binary);
	const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
	const auto message = posetalk::Decode(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
	if (message.error != nullptr)
	{
		std::printf("{\"error\":\"%s\"}\n", message.error);
		return;
	}
	std::printf("{\"type\":%d,\"sequence\":%u,\"sample\":%lld,\"values\":[", message.type, message.sequence,
		static_cast<long long>(message.sample));
	const char* comma = "";
	for (const float value : message.values) { std::printf("%s%.9g", comma, value); comma = ","; }
	for (const std::uint32_t corner : message.corners) { std::printf("%s%u", comma, corner); comma = ","; }
	std::printf("]}\n");
}

// A face that was shown its last frame goes to rest in small steps, in half a second from when it is told; unless it
// is told, it holds still before.
static void Rests()
{
	using posetalk::PlayOut;
	for (const double told : {10.4, 10.9, 99.0})
		for (const bool anew : {false, true})
		{
			PlayOut play;
			play.delay = 0.1;
			play.rests = true;
			std::vector<float> values;
			for (int k = 0; k < 10; ++k)
				play.Add(640 * k, {1, -1}, 10 + 0.04 * k);
			Expect(play.Show(10.46, values) && values[0] == 1, "the last frame, when it is due");
			float before = 1;
			int held = 0;
			bool ended = false;
			const double end = std::min(std::max(told, 10.46), 11.1) + 0.5;
			for (double now = 10.46; now < end; now += 1 / 60.0)
			{
				if (!ended && now >= told)
				{
					play.End(told);
					if (anew) play.Clear();
					ended = true;
				}
				const bool drawn = play.Show(now, values);
				Expect(drawn || values[0] == before, "what is not drawn did not move");
				Expect(values[0] == -values[1], "all channels rest alike");
				Expect(values[0] <= before && values[0] > before - 0.07f, "softly");
				held += values[0] == 1;
				before = values[0];
			}
			Expect(before == 0 && !play.Show(end, values), "at rest, and nothing is drawn");
			Expect(held >= (told > 90 ? 30 : 1), "held still before");
			play.Clear();
			play.Add(0, {1, 1}, 20);
			Expect(play.Show(20.11, values) && values[1] == 1, "new motion is shown at once");
		}
	PlayOut vertices;
	std::vector<float> values;
	vertices.Add(0, {1}, 10);
	vertices.End(10);
	Expect(vertices.Show(20, values) && values[0] == 1, "zeros are no face of vertices");
}

static void Parts()
{
	using namespace posetalk;
	const float samples[] = {0.5f, -2.0f};
	const auto sound = EncodeSound(samples, 2, 7);
	const Message back = Decode(sound.data(), sound.size());
	Expect(back.type == Sound && back.sequence == 7 && Near(back.values[0], 0.5) && back.values[1] == -1, "sound");

	Expect(PlainName("eyeBlink_L") == "eyeblinkleft" && PlainName("JawOpen") == "jawopen", "names");
	Expect(PlainName("mouth_smile_right") == "mouthsmileright" && PlainName("_R") == "r", "more names");

	Rotation turn = UnrealRotation(0.2, 0, 0); // nods down; FRotator's pitch is up
	Expect(Near(turn.pitch, -0.2 * 57.2957795) && Near(turn.yaw, 0) && Near(turn.roll, 0), "nod");
	turn = UnrealRotation(0, 0.2, 0); // to its left; FRotator's yaw is to the right
	Expect(Near(turn.yaw, -0.2 * 57.2957795) && Near(turn.pitch, 0) && Near(turn.roll, 0), "turn");
	turn = UnrealRotation(0, 0, 0.2); // the crown to its right; so is FRotator's roll
	Expect(Near(turn.roll, 0.2 * 57.2957795) && Near(turn.yaw, 0) && Near(turn.pitch, 0), "tilt");

	PlayOut play;
	play.delay = 0.1;
	std::vector<float> values;
	Expect(!play.Show(0, values), "nothing yet");
	for (int hop = 0; hop < 5; ++hop)
		for (int k = 0; k < 2; ++k)
			play.Add(640 * (2 * hop + k), {float(2 * hop + k), -1}, 10 + 0.08 * hop);
	Expect(play.Show(10.12, values) && std::fabs(values[0] - 1.5) < 0.02 && values[1] == -1, "between two frames");
	play.Cut(640 * 4);
	Expect(play.Show(11, values) && values[0] == 3, "the last frame stays after a cut");
	play.Clear();
	Expect(!play.Show(20, values), "nothing after Clear");
	Rests();
	// Whatever comes is judged, not trusted: half of these have a length that fits, some are whole.
	std::uint32_t state = 1;
	const auto random = [&state] { return state = state * 1664525u + 1013904223u, state >> 16; };
	int whole = 0;
	for (int round = 0; round < 20000; ++round)
	{
		auto data = EncodeSound(samples, 2, 0);
		data.resize(random() % 2 ? data.size() : random() % 64);
		for (std::uint32_t changes = random() % 4; changes > 0 && !data.empty(); --changes)
			data[random() % data.size()] = std::uint8_t(random());
		whole += Decode(data.data(), data.size()).error == nullptr;
	}
	Expect(whole > 1000 && whole < 19000, "random messages");
	std::printf("ok\n");
}

int main(int count, char** arguments)
{
	if (count > 1 && std::string(arguments[1]) == "parts")
		Parts();
	for (int i = 2; i < count; ++i)
		Print(arguments[i]);
	return 0;
}
