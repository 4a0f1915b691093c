# Drives a face from posetalk (docs/protocol.md), for Godot 3. Add it to a scene as a Node.
#
# Blend shapes of `mesh` that are called as ARKit calls them (jawOpen, eyeBlinkLeft, ...; big or small
# letters) follow the channels; `head`, if given, turns with the head.
extends Node

signal connected(hello)
signal frame_arrived(sample, values)      # as received: PoolRealArray in the order of `names`
signal frame_shown(sample, values)        # at its time; after the last one on its way to rest
signal sound_arrived(sample, samples)     # PoolRealArray, 16 kHz, -1..1; with `audio`
signal interrupted(sample)
signal error(code, message)
signal disconnected()
signal ended()

const PROTOCOL = 1
const SAMPLE_RATE = 16000.0
const SETS = {1: "flame", 2: "arkit52", 3: "vertices"}
const FIRST_WAIT = 0.25
const LONGEST_WAIT = 4.0
const MOST_WAITING = 100                  # frames; newest wins
const HOLD_SECONDS = 0.6                  # a face without frames holds still for so long: a network stutters
const REST_SECONDS = 0.4                  # then, or at once where the stream is over, it goes to rest

export(String) var url = "ws://127.0.0.1:8765"
export(String) var token = ""
export(String, "arkit52", "flame", "vertices") var channel_set = "arkit52"
export(bool) var audio = false
export(float) var delay = 0.12            # seconds that frames are held back to play evenly
export(bool) var own_session = false      # a voice of its own: what this node pushes, and nobody else
export(String) var own_style = ""         # by name or as a mix, with own_session; "": the server's
export(int) var own_seed = 0
export(NodePath) var mesh
export(NodePath) var head

var hello = {}
var names = []
var shown = {}                            # channel -> value, of the frame shown last

var _client = WebSocketClient.new()
var _open = false
var _wait = FIRST_WAIT
var _retry_in = 0.0
var _hopeless = false
var _told = false                         # that nobody answers
var _waiting = []                         # [sample, values], oldest first
var _kept = null                          # the frame shown last, as in _waiting
var _rest_at = INF                        # seconds: when it starts to go to rest
var _left = 0.0                           # of it in what is shown: 1 where it moves, 0 at rest
var _over = false                         # nothing more comes
var _first = null                         # seconds that the server's clock is ahead of ours, less the way
var _blend = {}                           # channel index -> property of the mesh
var _rate = 16000
var _pushed = 0


func _ready():
	# kB in, messages in, kB out, messages out: a frame of vertices needs 65.
	_client.set_buffers(256, 512, 256, 64)
	for name in ["connection_established", "connection_closed", "connection_error", "data_received"]:
		_client.connect(name, self, "_on_" + name)
	_map_blend_shapes()
	_dial()


func _exit_tree():
	if _open:
		_client.disconnect_from_host()
		_client.poll()


func subscribe(new_set, with_audio):
	channel_set = new_set
	audio = with_audio
	var before = names.hash()
	names = hello.get("channels", {}).get(channel_set, [])
	_waiting.clear()
	if names.hash() != before:
		_kept = null
	_map_blend_shapes()
	_say({"type": "subscribe", "protocol": PROTOCOL, "set": channel_set, "audio": audio})


# Have this sound spoken: mono floats in -1..1 at `rate`.
func push(samples, rate):
	if rate != _rate:
		_say({"type": "audio_format", "sample_rate": int(rate)})
		_rate = rate
	var step = int(rate / 2)
	var start = 0
	while start < samples.size():
		_send_sound(samples, start, int(min(start + step, samples.size())))
		start += step


func interrupt():
	_say({"type": "interrupt"})


func style(name):
	_say({"type": "style", "name": name})


func _process(seconds):
	_client.poll()
	if not _open and not _hopeless and _client.get_connection_status() == NetworkedMultiplayerPeer.CONNECTION_DISCONNECTED:
		_retry_in -= seconds
		if _retry_in <= 0:
			_dial()
	_play(_now())


func _dial():
	_retry_in = _wait
	_wait = min(2 * _wait, LONGEST_WAIT)
	var headers = PoolStringArray()
	if token != "":
		headers.append("Authorization: Bearer " + token)
	_client.connect_to_url(url, PoolStringArray(), false, headers)


func _on_connection_established(_protocol):
	_open = true
	_told = false
	_wait = FIRST_WAIT


func _on_connection_closed(_clean = false):
	_lost()


func _on_connection_error():
	if not _told:
		emit_signal("error", "connection", "no connection to %s: is posetalk serving there, and is the token right?" % url)
	_told = true
	_lost()


func _lost():
	if _open:
		emit_signal("disconnected")
	_open = false
	hello = {}
	_over = true                          # what waits is still shown, at its time
	_rate = 16000


func _on_data_received():
	var peer = _client.get_peer(1)
	while peer.get_available_packet_count() > 0:
		var data = peer.get_packet()
		if peer.was_string_packet():
			_receive_text(data.get_string_from_utf8())
		else:
			_receive_binary(data)


func _receive_text(text):
	var parsed = JSON.parse(text)
	if parsed.error != OK or typeof(parsed.result) != TYPE_DICTIONARY:
		return _give_up("json", "the text message is not JSON")
	var message = parsed.result
	if int(message.get("protocol", PROTOCOL)) != PROTOCOL:
		return _give_up("version", "the server speaks protocol %s, this client %d: update the older" % [message["protocol"], PROTOCOL])
	match message.get("type", ""):
		"hello":
			hello = message
			_begin_anew()
			emit_signal("connected", hello)
			subscribe(channel_set, audio)
			if own_session:
				_say({"type": "open", "protocol": PROTOCOL, "pace": "live", "style": own_style, "seed": own_seed})
		"opened":
			_begin_anew()
		"closed":
			_over = true
		"interrupted":
			for index in range(_waiting.size() - 1, -1, -1):
				if _waiting[index][0] >= message["sample"]:
					_waiting.remove(index)
			emit_signal("interrupted", int(message["sample"]))
		"error":
			emit_signal("error", message.get("code", ""), message.get("message", ""))
		"end":
			_over = true
			emit_signal("ended")


func _receive_binary(data):
	var message = decode(data)
	if message.has("error"):
		return _give_up(message["error"], "the server sent what is not the protocol")
	if message["type"] == 16:
		emit_signal("sound_arrived", message["sample"], message["values"])
	elif SETS.get(message["type"], "") == channel_set:
		emit_signal("frame_arrived", message["sample"], message["values"])
		_hold(message["sample"], message["values"], _now())


# A binary message as {type, sequence, sample, values}, or {error: code}. Unknown types have no values.
static func decode(data):
	if data.size() < 24:
		return {"error": "truncated"}
	var stream = StreamPeerBuffer.new()
	stream.data_array = data
	if stream.get_u32() != 0x314b5450:
		return {"error": "magic"}
	if stream.get_u8() != PROTOCOL:
		return {"error": "version"}
	var type = stream.get_u8()
	var flags = stream.get_u16()
	var message = {"type": type, "sequence": stream.get_u32(), "sample": stream.get_64(), "values": []}
	var count = stream.get_u32()
	if not (type in [1, 2, 3, 4, 16]):
		return message
	var small = type == 16 and flags & 1
	if count * (2 if small else 4) != data.size() - 24:
		return {"error": "length"}
	if type == 4:
		for _i in range(count):
			message["values"].append(stream.get_u32())
		return message
	var values = PoolRealArray()
	values.resize(count)
	for i in range(count):
		values[i] = stream.get_16() / 32768.0 if small else stream.get_float()
		if type != 16 and (is_nan(values[i]) or is_inf(values[i])):
			return {"error": "not_finite"}
	message["values"] = values
	return message


# A frame comes in a burst with others, and is shown at its time.
func _hold(sample, values, now):
	_over = false
	var early = sample / SAMPLE_RATE - now
	# The frame that took least says where the server's clock is; the rest follows clocks that drift.
	_first = early if _first == null else max(early, _first - 0.0001)
	_waiting.append([sample, values])
	if _waiting.size() > MOST_WAITING:
		_waiting.pop_front()


func _play(now):
	var due = null
	while not _waiting.empty() and _waiting[0][0] / SAMPLE_RATE - _first + delay <= now:
		due = _waiting.pop_front()
	if due != null:
		_kept = due
		_rest_at = now + HOLD_SECONDS
		_left = 1.0
		_show(due[0], due[1])
	elif _kept != null and _waiting.empty() and channel_set != "vertices":
		_rest(now)


# A face to which nothing comes any more goes to rest, softly: weights and angles to 0.
func _rest(now):
	if _over:
		_rest_at = min(_rest_at, now)
	var left = 1.0 - clamp((now - _rest_at) / REST_SECONDS, 0.0, 1.0)
	if left == _left:
		return
	_left = left
	var eased = left * left * (3.0 - 2.0 * left)
	var values = PoolRealArray()
	for value in _kept[1]:
		values.append(eased * value)
	_show(_kept[0], values)


func _begin_anew():
	_waiting.clear()
	_first = null


func _now():
	return OS.get_ticks_usec() / 1e6


func _show(sample, values):
	for index in range(min(names.size(), values.size())):
		shown[names[index]] = values[index]
	var face = get_node_or_null(mesh) if mesh != null else null
	if face != null:
		for index in _blend:
			face.set(_blend[index], values[index])
	var bone = get_node_or_null(head) if head != null else null
	if bone != null and shown.has("headRotationX"):
		var turn = Vector3(shown["headRotationX"], shown["headRotationY"], shown["headRotationZ"])
		bone.transform.basis = Basis() if turn.length() < 1e-6 else Basis(turn.normalized(), turn.length())
	emit_signal("frame_shown", sample, values)


func _map_blend_shapes():
	_blend.clear()
	var face = get_node_or_null(mesh) if mesh != null else null
	if face == null or names.empty():
		return
	var known = {}
	for property in face.get_property_list():
		if property["name"].begins_with("blend_shapes/"):
			known[property["name"].substr(13).to_lower()] = property["name"]
	for index in range(names.size()):
		if known.has(names[index].to_lower()):
			_blend[index] = known[names[index].to_lower()]


func _give_up(code, message):
	_hopeless = true
	_client.disconnect_from_host()
	emit_signal("error", code, message)


func _say(message):
	if _open and not hello.empty():
		_client.get_peer(1).set_write_mode(WebSocketPeer.WRITE_MODE_TEXT)
		_client.get_peer(1).put_packet(JSON.print(message).to_utf8())


func _send_sound(samples, start, end):
	if not _open or hello.empty():
		return
	var stream = StreamPeerBuffer.new()
	stream.put_u32(0x314b5450)
	stream.put_u8(PROTOCOL)
	stream.put_u8(16)
	stream.put_u16(1)
	stream.put_u32(_pushed)
	stream.put_64(0)
	stream.put_u32(end - start)
	for index in range(start, end):
		stream.put_16(int(clamp(round(samples[index] * 32767), -32768, 32767)))
	_pushed += 1
	_client.get_peer(1).set_write_mode(WebSocketPeer.WRITE_MODE_BINARY)
	_client.get_peer(1).put_packet(stream.data_array)
