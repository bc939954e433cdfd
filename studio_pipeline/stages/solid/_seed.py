"""Takes the chance out of a loaded library: its calls of ``std::random_device`` give one number, always.

fTetWild seeds its shuffles from the machine's entropy and offers no way to say otherwise, so that two runs on
one surface differ. On Linux the library's table of imported functions can be pointed elsewhere: at a function of
the interpreter that ignores its argument and returns one. Other platforms keep the chance, and the caller is told.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from pathlib import Path

__all__ = ["fix_random_device"]

_SYMBOL = b"_ZNSt13random_device9_M_getvalEv"  # unsigned std::random_device::_M_getval()
_PT_LOAD, _PT_DYNAMIC = 1, 2
_STRTAB, _SYMTAB, _RELA, _RELASZ, _JMPREL, _PLTRELSZ = 5, 6, 7, 8, 23, 2


def fix_random_device(library: Path) -> bool:
    """Make ``library``, which is loaded, see constant entropy; False where that isn't possible."""
    if not sys.platform.startswith("linux"):
        return False
    image = library.read_bytes()
    if image[:6] != b"\x7fELF\x02\x01":  # 64 bit, little endian
        return False
    base = _load_address(library)
    slots = _import_slots(image)
    if base is None or not slots:
        return False
    constant = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value
    assert constant is not None
    libc = ctypes.CDLL(None, use_errno=True)
    for slot in slots:
        page = (base + slot) & ~(mmap.PAGESIZE - 1)
        length = base + slot + 8 - page
        if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(length), mmap.PROT_READ | mmap.PROT_WRITE) != 0:
            return False
        ctypes.c_uint64.from_address(base + slot).value = constant
    return True


def _load_address(library: Path) -> int | None:
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[2] == "00000000" and fields[5] == str(library.resolve()):
            return int(fields[0].split("-")[0], 16)
    return None


def _import_slots(image: bytes) -> list[int]:
    """Addresses, relative to the load address, that hold where the symbol is."""
    start, _, _, _, entry, count = struct.unpack_from("<QQIHHH", image, 32)
    segments = [struct.unpack_from("<IIQQQQ", image, start + k * entry) for k in range(count)]

    def offset(address: int) -> int:
        for kind, _, file_offset, virtual, _, size in segments:
            if kind == _PT_LOAD and virtual <= address < virtual + size:
                return address - virtual + file_offset
        raise ValueError("address outside of the file")

    where, size = next((s[2], s[5]) for s in segments if s[0] == _PT_DYNAMIC)
    table = dict(struct.iter_unpack("<QQ", image[where : where + size]))
    slots = []
    for first, length in ((_JMPREL, _PLTRELSZ), (_RELA, _RELASZ)):
        if first not in table:
            continue
        begin = offset(table[first])
        for address, info, _ in struct.iter_unpack("<QQq", image[begin : begin + table[length]]):
            symbol = info >> 32
            if symbol == 0:
                continue
            name = offset(table[_STRTAB]) + struct.unpack_from("<I", image, offset(table[_SYMTAB]) + 24 * symbol)[0]
            if image[name : name + len(_SYMBOL) + 1] == _SYMBOL + b"\0":
                slots.append(address)
    return slots
