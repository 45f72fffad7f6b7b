"""A neighbour: a program that uses the GPU, or the CPU where there is none, from when it is told to, for some seconds.

`python scripts/gpu_neighbour.py compute|draw SECONDS` prepares, says "ready", waits for a line, works and ends. It owns
nothing on the GPU before that line, so that only what looks while rounds are timed can see it.
"""

import ctypes
import sys
import time
from collections.abc import Callable

SIZE = 1024
"""Width and height of the picture, and of the matrices."""
PLATFORM_DEVICE, PLATFORM_SURFACELESS = 0x313F, 0x31DD
PBUFFER, ES2, NONE = 0x0001, 0x0004, 0x3038
SURFACE_TYPE, RENDERABLE_TYPE, WIDTH, HEIGHT, CLIENT_VERSION = 0x3033, 0x3040, 0x3057, 0x3056, 0x3098
FRAGMENT, VERTEX, FLOAT, TRIANGLES = 0x8B30, 0x8B31, 0x1406, 0x0004
VERTEX_SHADER = b"attribute vec2 place; void main() { gl_Position = vec4(place, 0.0, 1.0); }"
FRAGMENT_SHADER = b"""
precision highp float;
void main() {
  float value = gl_FragCoord.x;
  for (int i = 0; i < 50; i++) value = fract(sin(value) * 43758.5453);
  gl_FragColor = vec4(value);
}
"""
WHOLE_PICTURE = (ctypes.c_float * 6)(-1, -1, 3, -1, -1, 3)


def computing() -> Callable[[], None]:
    """What multiplies matrices on the GPU, or on the CPU where torch sees none."""
    import torch

    made: list[torch.Tensor] = []

    def multiply() -> None:
        if not made:
            made.append(torch.rand(SIZE, SIZE, device="cuda" if torch.cuda.is_available() else "cpu"))
        made[0] @ made[0]
        if made[0].is_cuda:
            torch.cuda.synchronize()

    return multiply


def drawing() -> Callable[[], None]:
    """What draws pictures through EGL without a screen; raises OSError where EGL is not installed or has no device."""
    egl, gl = ctypes.CDLL("libEGL.so.1"), ctypes.CDLL("libGLESv2.so.2")
    begun: list[bool] = []

    def draw() -> None:
        if not begun:
            _open_surface(egl)
            _use_shaders(gl)
            begun.append(True)
        gl.glDrawArrays(TRIANGLES, 0, 3)
        gl.glFinish()

    return draw


def _open_surface(egl: ctypes.CDLL) -> None:
    """A picture in memory, of the first GPU that has EGL, or of Mesa's software renderer."""
    for name in ("eglGetProcAddress", "eglGetPlatformDisplay", "eglCreatePbufferSurface", "eglCreateContext"):
        getattr(egl, name).restype = ctypes.c_void_p
    display = ctypes.c_void_p(_display(egl))
    config, count = ctypes.c_void_p(), ctypes.c_int()
    wanted = _integers(SURFACE_TYPE, PBUFFER, RENDERABLE_TYPE, ES2)
    if not egl.eglChooseConfig(display, wanted, ctypes.byref(config), 1, ctypes.byref(count)) or not count.value:
        raise OSError("EGL has no configuration that draws into memory with OpenGL ES 2")
    surface = ctypes.c_void_p(egl.eglCreatePbufferSurface(display, config, _integers(WIDTH, SIZE, HEIGHT, SIZE)))
    context = ctypes.c_void_p(egl.eglCreateContext(display, config, None, _integers(CLIENT_VERSION, 2)))
    if not egl.eglMakeCurrent(display, surface, surface, context):
        raise OSError("EGL cannot use the picture that it made")


def _display(egl: ctypes.CDLL) -> int:
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
    if query:
        ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(query)(
            16, ctypes.byref(devices), ctypes.byref(count)
        )
    places = [(PLATFORM_DEVICE, device) for device in devices[: count.value]] + [(PLATFORM_SURFACELESS, None)]
    for platform, device in places:
        display = egl.eglGetPlatformDisplay(platform, ctypes.c_void_p(device), None)
        if display and egl.eglInitialize(ctypes.c_void_p(display), None, None):
            return int(display)
    raise OSError("EGL has no device that it can use")


def _use_shaders(gl: ctypes.CDLL) -> None:
    program = gl.glCreateProgram()
    for kind, source in ((VERTEX, VERTEX_SHADER), (FRAGMENT, FRAGMENT_SHADER)):
        shader = gl.glCreateShader(kind)
        gl.glShaderSource(shader, 1, ctypes.byref(ctypes.c_char_p(source)), None)
        gl.glCompileShader(shader)
        gl.glAttachShader(program, shader)
    gl.glBindAttribLocation(program, 0, b"place")
    gl.glLinkProgram(program)
    gl.glUseProgram(program)
    gl.glViewport(0, 0, SIZE, SIZE)
    gl.glVertexAttribPointer(0, 2, FLOAT, 0, 0, WHOLE_PICTURE)
    gl.glEnableVertexAttribArray(0)
    if error := gl.glGetError():
        raise OSError(f"OpenGL ES cannot draw: error {error:#x}")


def _integers(*values: int) -> "ctypes.Array[ctypes.c_int]":
    """A list of attributes, ended as EGL wants it."""
    return (ctypes.c_int * (len(values) + 1))(*values, NONE)


def main() -> None:
    """Prepare, wait for a line, work for so many seconds, and say how often."""
    kind, seconds = sys.argv[1], float(sys.argv[2])
    try:
        work = {"compute": computing, "draw": drawing}[kind]()
        print("ready", flush=True)
        sys.stdin.readline()
        ends_s, times = time.monotonic() + seconds, 0
        while time.monotonic() < ends_s:
            work()
            times += 1
    except OSError as error:
        sys.exit(f"cannot {kind}: {error}")
    print(f"worked {times} times", flush=True)


if __name__ == "__main__":
    main()
