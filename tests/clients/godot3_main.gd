# Drives the Godot 3 client for the tests: URL follows a server, a folder is read as golden bytes.
extends SceneTree

const Client = preload("res://posetalk.gd")

var client
var face
var turning
var frames = 0
var widest = 0.0
var heard = 0
var last = -1
var told = false
var over = false
var held = 0.0


func _initialize():
	var argument = OS.get_environment("POSETALK_TEST")
	if argument.begins_with("ws://"):
		follow(argument)
	else:
		golden(argument)
		say({"event": "rest", "told": rest(10.5, 0.5), "untold": rest(INF, 1.2)})
		quit()


func say(values):
	print(JSON.print(values))


func golden(folder):
	var file = File.new()
	file.open(folder + "/manifest.json", File.READ)
	var manifest = JSON.parse(file.get_as_text()).result
	var checked = 0
	for name in manifest:
		if not name.ends_with(".bin"):
			continue
		file.open(folder + "/" + name, File.READ)
		var message = Client.decode(file.get_buffer(file.get_len()))
		var wanted = manifest[name]
		checked += 1
		if wanted.has("error"):
			if message.get("error", "") != wanted["error"]:
				say({"wrong": name, "found": message})
		elif wanted.has("skip"):
			if message.has("error") or message["values"].size():
				say({"wrong": name})
		else:
			var scale = 32768.0 if wanted["type"] == 16 and int(wanted["flags"]) & 1 else 1.0
			var same = message.has("values") and message["values"].size() == wanted["values"].size()
			same = same and message["sample"] == int(wanted["sample"]) and message["type"] == wanted["type"]
			same = same and message["sequence"] == int(wanted["sequence"])
			if same:
				for i in range(wanted["values"].size()):
					same = same and message["values"][i] * scale == wanted["values"][i]
			if not same:
				say({"wrong": name, "found": message})
	say({"event": "golden", "checked": checked})


# What is shown 60 times a second for so long after the last frame, which was due at 10.5 s; the end is told then.
func rest(told_at, seconds):
	var node = Client.new()
	node.names = ["jawOpen", "headRotationX"]
	for k in range(10):
		node._hold(640 * k, PoolRealArray([1.0, -0.5]), 10 + 0.04 * k)
	node._play(10.5)
	if told_at < INF:
		node._receive_text('{"type":"end","frames":10}')
	var jaws = []
	var now = 10.5
	while now < 10.5 + seconds:
		node._play(now)
		jaws.append(node.shown["jawOpen"])
		if node.shown["headRotationX"] != -0.5 * node.shown["jawOpen"]:
			say({"wrong": node.shown})
		now += 1 / 60.0
	node._hold(640 * 50, PoolRealArray([1.0, 0.0]), 12.0)
	node._play(12.2)
	if node.shown["jawOpen"] != 1.0:
		say({"wrong": "new motion is shown at once"})
	node.free()
	return jaws


func follow(url):
	face = MeshInstance.new()
	var mesh = ArrayMesh.new()
	mesh.add_blend_shape("JawOpen") # in a model's own spelling
	mesh.add_blend_shape("eyeBlinkLeft")
	mesh.add_blend_shape("smirk")
	var arrays = []
	arrays.resize(Mesh.ARRAY_MAX)
	arrays[Mesh.ARRAY_VERTEX] = PoolVector3Array([Vector3(0, 0, 0), Vector3(1, 0, 0), Vector3(0, 1, 0)])
	var blends = []
	for _i in range(3):
		var moved = []
		moved.resize(Mesh.ARRAY_MAX)
		moved[Mesh.ARRAY_VERTEX] = PoolVector3Array([Vector3(0, 0, 1), Vector3(1, 0, 0), Vector3(0, 1, 0)])
		blends.append(moved)
	mesh.add_surface_from_arrays(Mesh.PRIMITIVE_TRIANGLES, arrays, blends)
	face.mesh = mesh
	face.name = "Face"
	turning = Spatial.new()
	turning.name = "Turning"
	get_root().add_child(face)
	get_root().add_child(turning)
	client = Client.new()
	client.url = url
	client.token = OS.get_environment("POSETALK_TOKEN")
	client.audio = true
	client.mesh = NodePath("../Face")
	client.head = NodePath("../Turning")
	for name in ["connected", "frame_shown", "sound_arrived", "error", "disconnected", "interrupted", "ended"]:
		client.connect(name, self, "on_" + name)
	get_root().add_child(client)


func on_connected(hello):
	frames = 0
	widest = 0.0
	heard = 0
	last = -1
	told = false
	over = false
	say({"event": "connected", "head": hello["head"]})
	call_deferred("push", 1)


func push(seconds):
	var noise = PoolRealArray()
	for _i in range(24000 * seconds):
		noise.append(randf() - 0.5)
	client.push(noise, 24000)


func on_sound_arrived(_sample, samples):
	heard += samples.size()


func on_frame_shown(sample, values):
	frames += 1
	var jaw = face.get("blend_shapes/JawOpen")
	if sample == last and over:
		if jaw > held:
			say({"event": "wrong", "jaw": jaw, "after": held})
		held = jaw
		if jaw == 0:
			say({"event": "rest", "smirk": face.get("blend_shapes/smirk"), "turned": turning.transform.basis != Basis()})
		return
	held = jaw
	widest = max(widest, jaw)
	if abs(jaw - client.shown["jawOpen"]) > 1e-6 or face.get("blend_shapes/smirk") != 0:
		say({"event": "wrong", "jaw": jaw, "shown": client.shown["jawOpen"]})
	if sample <= last:
		say({"event": "wrong", "sample": sample, "after": last})
	last = sample
	if told and jaw > 0.2:
		say({"event": "speaks"})
	if frames >= 20 and widest > 0.2 and not told:
		told = true
		say({"event": "frames", "widest": widest, "heard": heard, "count": values.size(), "frames": frames})
		client.style("opera")


func on_error(code, _message):
	say({"event": "error", "code": code})
	if code == "no_such_style":
		client.interrupt()
	if code == "version":
		quit()


func on_interrupted(_sample):
	say({"event": "interrupted"})
	push(5)


func on_disconnected():
	over = true
	say({"event": "lost", "jaw": held})


func on_ended():
	over = true
	say({"event": "end"})
