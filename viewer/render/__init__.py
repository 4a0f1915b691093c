"""Drawing with OpenGL: a window, or pictures without one."""
