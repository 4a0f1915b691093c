## Drives a face from posetalk (docs/protocol.md), for Godot 4. Add it to a scene as a Node.
##
## Blend shapes of [member mesh] that are called as ARKit calls them (jawOpen, eyeBlinkLeft, ...; big
## or small letters) follow the channels; [member head], if given, turns with the head.
class_name Posetalk
extends Node

signal connected(hello: Dictionary)
signal frame_arrived(sample: int, values: PackedFloat32Array)  ## As received, in the order of names.
signal frame_shown(sample: int, values: PackedFloat32Array)  ## At its time; after the last one on its way to rest.
signal sound_arrived(sample: int, samples: PackedFloat32Array)  ## 16 kHz, -1..1; with audio.
signal interrupted(sample: int)
signal error(code: String, message: String)
signal disconnected
signal ended

const PROTOCOL := 1
const SAMPLE_RATE := 16000.0
const SETS := {1: "flame", 2: "arkit52", 3: "vertices"}
const FIRST_WAIT := 0.25
const LONGEST_WAIT := 4.0
const MOST_WAITING := 100  # frames; newest wins
const HOLD_SECONDS := 0.6  # a face without frames holds still for so long: a network stutters
const REST_SECONDS := 0.4  # then, or at once where the stream is over, it goes to rest

@export var url := "ws://127.0.0.1:8765"
@export var token := ""
@export_enum("arkit52", "flame", "vertices") var channel_set := "arkit52"
@export var audio := false
@export var delay := 0.12  ## Seconds that frames are held back to play evenly.
@export var own_session := false  ## A voice of its own: what this node pushes, and nobody else.
@export var own_style := ""  ## By name or as a mix, with own_session; "": the server's.
@export var own_seed := 0
@export var mesh: MeshInstance3D
@export var head: Node3D

var hello := {}
var names: Array = []
var shown := {}  ## Channel -> value, of the frame shown last.

var _socket := WebSocketPeer.new()
var _open := false
var _dialling := false
var _wait := FIRST_WAIT
var _retry_in := 0.0
var _hopeless := false
var _told := false  # that nobody answers
var _waiting: Array = []  # [sample, values], oldest first
var _kept: Array = []  # the frame shown last, as in _waiting
var _rest_at := INF  # seconds: when it starts to go to rest
var _left := 0.0  # of it in what is shown: 1 where it moves, 0 at rest
var _over := false  # nothing more comes
var _first := -INF  # seconds that the server's clock is ahead of ours, less the way
var _blend := {}  # channel index -> index of the mesh's blend shape
var _rate := 16000
var _pushed := 0


func _ready() -> void:
	_map_blend_shapes()
	_dial()


func _exit_tree() -> void:
	_socket.close()


func subscribe(new_set: String, with_audio: bool) -> void:
	channel_set = new_set
	audio = with_audio
	var before := names.hash()
	names = hello.get("channels", {}).get(channel_set, [])
	_waiting.clear()
	if names.hash() != before:
		_kept = []
	_map_blend_shapes()
	_say({"type": "subscribe", "protocol": PROTOCOL, "set": channel_set, "audio": audio})


## Have this sound spoken: mono floats in -1..1 at [param rate].
func push(samples: PackedFloat32Array, rate: int) -> void:
	if rate != _rate:
		_say({"type": "audio_format", "sample_rate": rate})
		_rate = rate
	var step := int(rate / 2.0)
	for start in range(0, samples.size(), step):
		_send_sound(samples.slice(start, mini(start + step, samples.size())))


func interrupt() -> void:
	_say({"type": "interrupt"})


func style(style_name: String) -> void:
	_say({"type": "style", "name": style_name})


func _process(seconds: float) -> void:
	_socket.poll()
	match _socket.get_ready_state():
		WebSocketPeer.STATE_OPEN:
			_open = true
			_dialling = false
			while _socket.get_available_packet_count() > 0:
				var data := _socket.get_packet()
				if _socket.was_string_packet():
					_receive_text(data.get_string_from_utf8())
				else:
					_receive_binary(data)
		WebSocketPeer.STATE_CLOSED:
			if _open or _dialling:
				_lost()
			_retry_in -= seconds
			if _retry_in <= 0.0 and not _hopeless:
				_dial()
	_play(_now())


func _dial() -> void:
	_retry_in = _wait
	_wait = minf(2.0 * _wait, LONGEST_WAIT)
	_socket = WebSocketPeer.new()
	_socket.inbound_buffer_size = 1 << 20  # a frame of vertices is 67 kB
	_socket.outbound_buffer_size = 1 << 20
	if token != "":
		_socket.handshake_headers = PackedStringArray(["Authorization: Bearer " + token])
	_dialling = _socket.connect_to_url(url) == OK


func _lost() -> void:
	if _open:
		disconnected.emit()
	elif not _told:
		_told = true
		error.emit("connection", "no connection to %s: is posetalk serving there, and is the token right?" % url)
	_open = false
	_dialling = false
	hello = {}
	_over = true  # what waits is still shown, at its time
	_rate = 16000


func _receive_text(text: String) -> void:
	var message: Variant = JSON.parse_string(text)
	if not message is Dictionary:
		return _give_up("json", "the text message is not JSON")
	if int(message.get("protocol", PROTOCOL)) != PROTOCOL:
		var theirs: Variant = message["protocol"]
		return _give_up("version", "the server speaks protocol %s, this client %d: update the older" % [theirs, PROTOCOL])
	match message.get("type", ""):
		"hello":
			hello = message
			_begin_anew()
			_wait = FIRST_WAIT
			_told = false
			connected.emit(hello)
			subscribe(channel_set, audio)
			if own_session:
				_say({"type": "open", "protocol": PROTOCOL, "pace": "live", "style": own_style, "seed": own_seed})
		"opened":
			_begin_anew()
		"closed":
			_over = true
		"interrupted":
			_waiting = _waiting.filter(func(frame: Array) -> bool: return frame[0] < message["sample"])
			interrupted.emit(int(message["sample"]))
		"error":
			error.emit(message.get("code", ""), message.get("message", ""))
		"end":
			_over = true
			ended.emit()


func _receive_binary(data: PackedByteArray) -> void:
	var message := decode(data)
	if message.has("error"):
		return _give_up(message["error"], "the server sent what is not the protocol")
	if message["type"] == 16:
		sound_arrived.emit(message["sample"], message["values"])
	elif SETS.get(message["type"], "") == channel_set:
		frame_arrived.emit(message["sample"], message["values"])
		_hold(message["sample"], message["values"], _now())


## A binary message as {type, sequence, sample, values}, or {error: code}. Unknown types have no values.
static func decode(data: PackedByteArray) -> Dictionary:
	if data.size() < 24:
		return {"error": "truncated"}
	if data.decode_u32(0) != 0x314b5450:
		return {"error": "magic"}
	if data.decode_u8(4) != PROTOCOL:
		return {"error": "version"}
	var type := data.decode_u8(5)
	var flags := data.decode_u16(6)
	var count := data.decode_u32(20)
	var message := {
		"type": type,
		"sequence": data.decode_u32(8),
		"sample": data.decode_s64(12),
		"values": PackedFloat32Array(),
	}
	if not type in [1, 2, 3, 4, 16]:
		return message
	var small := type == 16 and (flags & 1) == 1
	if count * (2 if small else 4) != data.size() - 24:
		return {"error": "length"}
	if type == 4:
		message["values"] = data.slice(24).to_int32_array()
		return message
	var values := PackedFloat32Array()
	if small:
		values.resize(count)
		for i in count:
			values[i] = data.decode_s16(24 + 2 * i) / 32768.0
	else:
		values = data.slice(24).to_float32_array()
		if type != 16:
			for value in values:
				if not is_finite(value):
					return {"error": "not_finite"}
	message["values"] = values
	return message


# A frame comes in a burst with others, and is shown at its time.
func _hold(sample: int, values: PackedFloat32Array, now: float) -> void:
	_over = false
	var early := sample / SAMPLE_RATE - now
	# The frame that took least says where the server's clock is; the rest follows clocks that drift.
	_first = maxf(early, _first - 0.0001)
	_waiting.append([sample, values])
	if _waiting.size() > MOST_WAITING:
		_waiting.pop_front()


func _play(now: float) -> void:
	var due: Array = []
	while not _waiting.is_empty() and _waiting[0][0] / SAMPLE_RATE - _first + delay <= now:
		due = _waiting.pop_front()
	if not due.is_empty():
		_kept = due
		_rest_at = now + HOLD_SECONDS
		_left = 1.0
		_show(due[0], due[1])
	elif not _kept.is_empty() and _waiting.is_empty() and channel_set != "vertices":
		_rest(now)


# A face to which nothing comes any more goes to rest, softly: weights and angles to 0.
func _rest(now: float) -> void:
	if _over:
		_rest_at = minf(_rest_at, now)
	var left := 1.0 - clampf((now - _rest_at) / REST_SECONDS, 0.0, 1.0)
	if left == _left:
		return
	_left = left
	var eased := left * left * (3.0 - 2.0 * left)
	var values := PackedFloat32Array()
	for value: float in _kept[1]:
		values.append(eased * value)
	_show(_kept[0], values)


func _begin_anew() -> void:
	_waiting.clear()
	_first = -INF


func _now() -> float:
	return Time.get_ticks_usec() / 1e6


func _show(sample: int, values: PackedFloat32Array) -> void:
	for index in mini(names.size(), values.size()):
		shown[names[index]] = values[index]
	if mesh != null:
		for index: int in _blend:
			mesh.set_blend_shape_value(_blend[index], values[index])
	if head != null and shown.has("headRotationX"):
		var turn := Vector3(shown["headRotationX"], shown["headRotationY"], shown["headRotationZ"])
		var angle := turn.length()
		head.basis = Basis() if angle < 1e-6 else Basis(turn / angle, angle)
	frame_shown.emit(sample, values)


func _map_blend_shapes() -> void:
	_blend.clear()
	if mesh == null or mesh.mesh == null:
		return
	var known := {}
	for index in mesh.get_blend_shape_count():
		known[str(mesh.mesh.get_blend_shape_name(index)).to_lower()] = index
	for index in names.size():
		var wanted := str(names[index]).to_lower()
		if known.has(wanted):
			_blend[index] = known[wanted]


func _give_up(code: String, message: String) -> void:
	_hopeless = true
	_socket.close()
	error.emit(code, message)


func _say(message: Dictionary) -> void:
	if _open and not hello.is_empty():
		_socket.send_text(JSON.stringify(message))


func _send_sound(samples: PackedFloat32Array) -> void:
	if not _open or hello.is_empty():
		return
	var data := PackedByteArray()
	data.resize(24 + 2 * samples.size())
	data.encode_u32(0, 0x314b5450)
	data.encode_u8(4, PROTOCOL)
	data.encode_u8(5, 16)
	data.encode_u16(6, 1)
	data.encode_u32(8, _pushed)
	data.encode_s64(12, 0)
	data.encode_u32(20, samples.size())
	for i in samples.size():
		data.encode_s16(24 + 2 * i, clampi(roundi(samples[i] * 32767.0), -32768, 32767))
	_pushed += 1
	_socket.send(data)
