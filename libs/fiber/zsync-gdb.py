# SPDX-License-Identifier: BSL-1.0
"""gdb's commands for the fibers of zsync, of a process or a core file; see docs/debugging.md.

    (gdb) source .../zsync-gdb.py
    (gdb) zsync fibers
    (gdb) zsync bt 3

Reads memory only: no function of the program is called, no register is written. Wants debug information of a file that
uses <zsync/fiber.hpp>, or of the library. `zsync bt` knows x86-64, and AArch64, where it has never been run.
"""

import re

import gdb
from gdb.unwinder import Unwinder

class Machine:
    """Where Boost.Context's jump_fcontext leaves what a suspended stack goes on with, above the pointer that it returns,
    and how far above it the stack ends once it does."""

    def __init__(self, stack_pointer, counter, saved, saved_bytes):
        self.stack_pointer = stack_pointer
        self.counter = counter
        self.saved = saved
        self.saved_bytes = saved_bytes


# System V. AArch64 after the comment in Boost's assembly; its d8 to d15 are saved, too, and not looked at.
MACHINES = {
    "x86-64": Machine("rsp", "rip", {"r12": 0x10, "r13": 0x18, "r14": 0x20, "r15": 0x28, "rbx": 0x30, "rbp": 0x38,
                                     "rip": 0x40}, 0x48),
    "aarch64": Machine("sp", "pc", {**{"x%d" % (19 + n): 0x40 + 8 * n for n in range(12)}, "pc": 0xa0}, 0xb0),
}

FIBER = "zsync::detail::fiber"
LOOP = "zsync::detail::fiber_loop"


class Object:
    """An object in the program's memory. Read as bytes: of a dereferenced pointer gdb would want to know the dynamic
    type, and complain of those that it does not."""

    def __init__(self, address, type_name):
        self.address = int(address)
        kind = gdb.lookup_type(type_name)
        self.value = gdb.Value(gdb.selected_inferior().read_memory(self.address, kind.sizeof), kind)

    def __getitem__(self, member):
        return self.value[member]


def word_at(address):
    return int(Object(address, "unsigned long").value)


def offset_of(member, type_name):
    """Where a member, or a base, of a class is in it."""
    for field in gdb.lookup_type(type_name).fields():
        if field.name == member:
            return field.bitpos // 8
    raise gdb.GdbError("zsync: this script is of another version than the program")


def loops():
    """All loops of the process, the oldest first."""
    try:
        loop = int(gdb.parse_and_eval("*(unsigned long *) &'zsync::detail::debugged_loops'"))
        gdb.lookup_type(LOOP)
    except gdb.error as error:
        raise gdb.GdbError("zsync: no fibers, or no debug information of them: %s" % error)
    found = []
    while loop != 0:
        found.insert(0, Object(loop, LOOP))
        loop = int(found[0]["older_"])
    return found


def context_of(loop):
    return word_at(loop.address + offset_of("zsync::loop", LOOP) + offset_of("context_", "zsync::loop"))


def fiber_of(agent):
    """The fiber that an agent is."""
    return Object(int(agent) - offset_of("zsync::agent", FIBER), FIBER)


def listed(first):
    while int(first) != 0:
        fiber = Object(first, FIBER)
        yield fiber
        first = fiber["next"]


def is_running(loop, fiber):
    return int(loop["current_"]) == fiber.address + offset_of("zsync::agent", FIBER)


def fibers_of(loop):
    found = list(listed(loop["alive_fibers_"])) + list(listed(loop["waiting_"]))
    if int(loop["loop_"]) != 0 and is_running(loop, Object(loop["loop_"], FIBER)):
        found.append(Object(loop["loop_"], FIBER))
    return sorted(found, key=number_of)


def number_of(fiber):
    return int(fiber["number"]["number_"])


def label(fiber):
    name = fiber["name"].string(errors="replace")
    return "fiber %d%s" % (number_of(fiber), ' "%s"' % name if name else "")


def enumerator(value):
    """The last part of an enumerator's name."""
    return str(value).rsplit("::", 1)[-1]


def text_of(pointer):
    """What zsync::detail::type_text() names, or a plain text."""
    if int(pointer) == 0:
        return "something"
    text = pointer.string(errors="replace")
    start = text.find("T = ")
    return text if start < 0 else text[start + 4 : text.rfind("]")]


def awaited(fiber):
    """What a fiber waits for, in words; None if it does not wait."""
    if int(fiber["awaited_"]) == 0:
        return None
    waiter = Object(fiber["awaited_"], "zsync::waiter")
    if bool(waiter["done_"]):
        return None
    reason = waiter["reason_"]
    kind = enumerator(reason["kind"])
    if kind == "operation":
        record = Object(reason["object"], "zsync::operation")
        return "%s on descriptor %d" % (enumerator(record["code"]), int(record["descriptor"]))
    if kind == "time":
        return "a point in time"
    if kind == "helper":
        return "a call on a helper thread"
    if kind == "sync":
        return "%s at %#x" % (text_of(reason["what"]), int(reason["object"]))
    if kind == "task" and int(reason["object"]) != 0:
        child = Object(reason["object"], "zsync::detail::child_task")["child_"]
        if int(child) == 0:
            return "a fiber that has not begun"
        return label(fiber_of(child))
    return text_of(reason["what"])


def state(loop, fiber):
    if is_running(loop, fiber):
        return "runs"
    if int(fiber["target_"]) == 0:
        return "has not begun"
    what = awaited(fiber)
    return "is ready" if what is None else "waits for " + what


def machine():
    """What the selected frame runs on."""
    if gdb.selected_inferior().pid == 0:
        raise gdb.GdbError("zsync: there is no process and no core file")
    name = gdb.selected_frame().architecture().name()
    for known, found in MACHINES.items():
        if known in name:
            return found
    raise gdb.GdbError("zsync: the registers of suspended fibers are known for x86-64 and AArch64 only")


def registers_of(fiber):
    """The registers with which a suspended fiber goes on."""
    here = machine()
    point = int(fiber["point_"])
    saved = {name: word_at(point + offset) for name, offset in here.saved.items()}
    saved[here.stack_pointer] = point + here.saved_bytes
    return saved


def frames_of(command, skipped=0):
    """What a command prints of a fiber's frames: without the first ones, and without what seems to be below the last."""
    shown = []
    for line in gdb.execute(command, to_string=True).splitlines():
        found = re.match(r"#(\d+) +(.*)", line)
        if found and shown and " make_fcontext " in shown[-1]:
            break
        if found and int(found.group(1)) >= skipped:
            shown.append("#%-3d%s" % (int(found.group(1)) - skipped, found.group(2)))
        elif not found and shown:
            shown.append(line)
    return "\n".join(shown)


class OntoFiber(Unwinder):
    """Makes a fiber's frames the callers of the selected thread's innermost frame, while there is a fiber."""

    class Id:
        def __init__(self, sp, pc):
            self.sp = sp
            self.pc = pc

    def __init__(self):
        super().__init__("zsync")
        self.registers = None
        self.innermost = None
        self.machine = None

    def __call__(self, pending):
        if self.registers is None:
            return None
        sp, pc = (pending.read_register(name) for name in (self.machine.stack_pointer, self.machine.counter))
        if (int(sp), int(pc)) != self.innermost:
            return None
        # An address below the fiber's frames: gdb takes what seems to be on a newer frame's side for corrupt.
        below = gdb.Value(self.registers[self.machine.stack_pointer] - 16).cast(sp.type)
        info = pending.create_unwind_info(self.Id(below, pc))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info

    def backtrace(self, registers, arguments):
        """What gdb's `backtrace` prints of the fiber, numbered from 0."""
        here = self.machine = machine()
        newest = gdb.newest_frame()
        self.innermost = int(newest.read_register(here.stack_pointer)), int(newest.read_register(here.counter))
        self.registers = registers
        try:
            gdb.invalidate_cached_frames()
            skipped = 0
            frame = gdb.newest_frame()
            while frame is not None and frame.pc() != registers[here.counter]:
                skipped += 1
                frame = frame.older()
            return frames_of("backtrace " + arguments, skipped)
        finally:
            self.registers = None
            gdb.invalidate_cached_frames()


UNWINDER = OntoFiber()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


class Zsync(gdb.Command):
    """The fibers of zsync."""

    def __init__(self):
        super().__init__("zsync", gdb.COMMAND_STACK, prefix=True)


class Fibers(gdb.Command):
    """zsync fibers: lists the fibers of all contexts, and what they wait for."""

    def __init__(self):
        super().__init__("zsync fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for loop in loops():
            fibers = fibers_of(loop)
            print("fiber_context at %#x: %d fiber%s" % (context_of(loop), len(fibers),
                                                       "" if len(fibers) == 1 else "s"))
            for fiber in fibers:
                kind = ", of a function or handler, " if bool(fiber["is_loop"]) else " "
                print("  " + label(fiber) + kind + state(loop, fiber))


class Backtrace(gdb.Command):
    """zsync bt ID [ARGUMENTS]: prints the backtrace of a suspended fiber, as `backtrace ARGUMENTS` does of a thread."""

    def __init__(self):
        super().__init__("zsync bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not words or not words[0].isdigit():
            raise gdb.GdbError("usage: zsync bt ID [ARGUMENTS OF backtrace]")
        here = machine()
        for loop in loops():
            for fiber in fibers_of(loop):
                if number_of(fiber) == int(words[0]):
                    return self.show(loop, fiber, " ".join(words[1:]), here)
        raise gdb.GdbError("zsync: there is no fiber %s" % words[0])

    @staticmethod
    def show(loop, fiber, arguments, here):
        print(label(fiber) + " " + state(loop, fiber))
        if is_running(loop, fiber):
            base = int(fiber["stack_"]["base"])
            top = base + int(fiber["stack_"]["bytes"])
            for thread in gdb.selected_inferior().threads():
                selected = gdb.selected_thread()
                thread.switch()
                pointer = int(gdb.newest_frame().read_register(here.stack_pointer))
                if base <= pointer < top:
                    print(frames_of("backtrace " + arguments))
                selected.switch()
        elif int(fiber["target_"]) != 0:
            print(UNWINDER.backtrace(registers_of(fiber), arguments))


Zsync()
Fibers()
Backtrace()
