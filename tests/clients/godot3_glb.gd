# Opens what Godot imported from face.glb, and says what is in it.
extends SceneTree

func _initialize():
	var scene = load("res://face.glb").instance()
	var player = scene.get_node("AnimationPlayer")
	var animation = player.get_animation("speech")
	var mesh = scene.get_node("Skeleton/face").mesh
	var names = []
	for index in range(mesh.get_blend_shape_count()):
		names.append(mesh.get_blend_shape_name(index))
	var tracks = []
	for track in range(animation.get_track_count()):
		tracks.append(str(animation.track_get_path(track)))
	var skeleton = scene.get_node("Skeleton")
	var bones = []
	for bone in range(skeleton.get_bone_count()):
		bones.append(skeleton.get_bone_name(bone))
	print(JSON.print({"names": names, "tracks": tracks, "bones": bones, "length": animation.length,
		"surfaces": mesh.get_surface_count(), "material": mesh.surface_get_material(0).resource_name}))
	quit()
