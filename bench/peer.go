// The answers of minimal.c, by the same system calls, in the language in which most agents are
// written. Usage: peer CMD ARG...
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"
)

// Linux's numbers, which Go's package does not have: bpf(2), pidfd_open(2), pidfd_getfd(2), and
// <linux/seccomp.h>.
const (
	pidfdOpen  = 434
	pidfdGetfd = 438
	recv       = 0xc0502100
	send       = 0xc0182101
	idValid    = 0x40082102
	addFd      = 0x40182103
	setFlags   = 0x40082104

	syncWakeUp = 1
	andSend    = 2

	mapGetNextID  = 12
	mapGetFdByID  = 14
	progGetFdByID = 13
	objGetInfo    = 15
)

var bpfNumber = map[string]uintptr{"amd64": 321, "arm64": 280}[runtime.GOARCH]

type notification struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

type handover struct {
	id                     uint64
	flags, fd, number, how uint32
}

type infoAttr struct {
	fd, length uint32
	address    uint64
	rest       [144]byte
}

type responder struct {
	listener uintptr
	call     notification
	attr     [160]byte
	info     [256]byte
}

func least(a, b uint64) uint64 {
	if a < b {
		return a
	}
	return b
}

func control(fd, what uintptr, argument unsafe.Pointer) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, what, uintptr(argument))
	return errno
}

func bpf(command uint64, attr unsafe.Pointer, size uintptr) (uintptr, syscall.Errno) {
	result, _, errno := syscall.Syscall(bpfNumber, uintptr(command), uintptr(attr), size)
	return result, errno
}

func (r *responder) nextID(command uint64, memory int) syscall.Errno {
	if _, errno := bpf(command, unsafe.Pointer(&r.attr), 8); errno != 0 {
		return errno
	}
	return put(memory, r.attr[:8], r.call.args[1])
}

func put(memory int, from []byte, address uint64) syscall.Errno {
	if n, _ := syscall.Pwrite(memory, from, int64(address)); n != len(from) {
		return syscall.EFAULT
	}
	return 0
}

func (r *responder) describe(memory int) syscall.Errno {
	attr := (*infoAttr)(unsafe.Pointer(&r.attr))
	address, length := attr.address, uint32(least(uint64(attr.length), uint64(len(r.info))))
	pidfd, _, _ := syscall.Syscall(pidfdOpen, uintptr(r.call.pid), 0, 0)
	fd, _, errno := syscall.Syscall(pidfdGetfd, pidfd, uintptr(attr.fd), 0)
	syscall.Close(int(pidfd))
	if errno != 0 {
		return syscall.EBADF
	}
	defer syscall.Close(int(fd))
	r.info = [256]byte{}
	if n, _ := syscall.Pread(memory, r.info[:length], int64(address)); n != int(length) {
		return syscall.EFAULT
	}
	attr.fd, attr.length, attr.address = uint32(fd), length, uint64(uintptr(unsafe.Pointer(&r.info)))
	if _, errno := bpf(objGetInfo, unsafe.Pointer(attr), 16); errno != 0 {
		return errno
	}
	if errno := put(memory, r.info[:attr.length], address); errno != 0 {
		return errno
	}
	return put(memory, r.attr[4:8], r.call.args[1]+4)
}

// Answers and hands over in one step.
func (r *responder) give(command uint64) syscall.Errno {
	fd, errno := bpf(command, unsafe.Pointer(&r.attr), 12)
	if errno != 0 {
		return errno
	}
	defer syscall.Close(int(fd))
	add := handover{id: r.call.id, flags: andSend, fd: uint32(fd), how: syscall.O_CLOEXEC}
	return control(r.listener, addFd, unsafe.Pointer(&add))
}

func (r *responder) answer() {
	command := r.call.args[0] & 0xffff
	memory, err := syscall.Open(fmt.Sprintf("/proc/%d/mem", r.call.pid), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(memory)
	if control(r.listener, idValid, unsafe.Pointer(&r.call.id)) != 0 {
		return
	}
	r.attr = [160]byte{}
	syscall.Pread(memory, r.attr[:least(r.call.args[2], uint64(len(r.attr)))], int64(r.call.args[1]))
	var errno syscall.Errno
	switch command {
	case mapGetFdByID, progGetFdByID:
		if errno = r.give(command); errno == 0 {
			return
		}
	case objGetInfo:
		errno = r.describe(memory)
	default:
		errno = r.nextID(command, memory)
	}
	reply := response{id: r.call.id, err: -int32(errno)}
	control(r.listener, send, unsafe.Pointer(&reply))
}

// Starts the command under the filter. Its end is the responder's: RECV fails with ENOENT then.
func start(command []string) (*exec.Cmd, uintptr) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	own, _ := os.Executable()
	child := exec.Command(filepath.Join(filepath.Dir(own), "filtered"), command...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "its end")}
	if err := child.Start(); err != nil {
		panic(err)
	}
	child.ExtraFiles[0].Close()
	var number [4]byte
	if n, err := syscall.Read(pair[0], number[:]); n != len(number) {
		panic(err)
	}
	pidfd, _, _ := syscall.Syscall(pidfdOpen, uintptr(child.Process.Pid), 0, 0)
	listener, _, errno := syscall.Syscall(pidfdGetfd, pidfd, uintptr(binary.LittleEndian.Uint32(number[:])), 0)
	if errno != 0 {
		panic(errno)
	}
	syscall.Syscall(syscall.SYS_IOCTL, listener, setFlags, syncWakeUp)
	syscall.Write(pair[0], []byte{0})
	return child, listener
}

func main() {
	runtime.LockOSThread()
	child, listener := start(os.Args[1:])
	r := responder{listener: listener}
	for {
		r.call = notification{}
		switch control(listener, recv, unsafe.Pointer(&r.call)) {
		case 0:
			r.answer()
		case syscall.EINTR:
		default:
			child.Wait()
			os.Exit(child.ProcessState.ExitCode())
		}
	}
}
