// Eight goroutines that list, open and ask for info without pause, while the Go runtime sends SIGURG
// to its threads: to preempt loops that do not yield, and to stop the world for a collection. At the
// end it prints the same line as interrupted.c. It fails at a wrong answer, and at any error but
// EINTR. Usage:
//
//	preempted syscall CALLS   as Go's libraries call: the runtime knows that the thread waits
//	preempted raw CALLS       it does not, takes the wait for a loop, and sends signals until it ends
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	mapCreate    = 0
	mapGetNextID = 12
	mapGetFdByID = 14
	objGetInfo   = 15

	array   = 2
	callers = 8
)

var bpfNumber = map[string]uintptr{"amd64": 321, "arm64": 280}[runtime.GOARCH]

var calls, interrupted, signals, limit int64
var result uint64

type mapAttr struct{ kind, keySize, valueSize, entries uint32 }

type idAttr struct{ start, next, flags uint32 }

type infoAttr struct {
	fd, length uint32
	info       *mapInfo
}

// The first fields of struct bpf_map_info.
type mapInfo struct {
	kind, id uint32
	rest     [18]uint32
}

func fail(what string, is interface{}) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, is)
	os.Exit(1)
}

func bpf(raw bool, command uintptr, attr unsafe.Pointer, size uintptr) int {
	for {
		var result uintptr
		var err syscall.Errno

		atomic.AddInt64(&calls, 1)
		if raw {
			result, _, err = syscall.RawSyscall(bpfNumber, command, uintptr(attr), size)
		} else {
			result, _, err = syscall.Syscall(bpfNumber, command, uintptr(attr), size)
		}
		if err == 0 {
			return int(result)
		}
		if err != syscall.EINTR {
			fail("bpf", err)
		}
		atomic.AddInt64(&interrupted, 1)
	}
}

func work(raw bool) {
	for atomic.LoadInt64(&calls) < limit {
		next := &idAttr{}
		bpf(raw, mapGetNextID, unsafe.Pointer(next), unsafe.Sizeof(*next))
		if next.next != 1 {
			fail("the first id", next.next)
		}
		open := &idAttr{start: 1}
		fd := bpf(raw, mapGetFdByID, unsafe.Pointer(open), unsafe.Sizeof(*open))
		info := &infoAttr{fd: uint32(fd), info: &mapInfo{}}
		info.length = uint32(unsafe.Sizeof(*info.info))
		bpf(raw, objGetInfo, unsafe.Pointer(info), unsafe.Sizeof(*info))
		if info.info.id != 1 {
			fail("the id in info", info.info.id)
		}
		syscall.Close(fd)
	}
}

// Each collection stops the world.
func collect() {
	for {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}

// Loops without a call, some 30 ms each: only a signal stops one.
func compute() {
	var sum uint64

	for {
		for i := uint64(0); i < 1<<26; i++ {
			sum += i * i
		}
		atomic.StoreUint64(&result, sum)
		time.Sleep(30 * time.Millisecond)
	}
}

func countSignals() {
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGURG)
	for range arrived {
		atomic.AddInt64(&signals, 1)
	}
}

func countFds() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fail("fds", err)
	}
	return len(entries)
}

func main() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	raw := os.Args[1] == "raw"
	limit, _ = strconv.ParseInt(os.Args[2], 10, 64)
	runtime.GOMAXPROCS(callers)
	attr := &mapAttr{array, 4, 4, 1}
	bpf(false, mapCreate, unsafe.Pointer(attr), unsafe.Sizeof(*attr))
	go countSignals()
	countFds() // opens what the runtime keeps
	before := countFds()

	go compute()
	go collect()
	var working sync.WaitGroup
	for i := 0; i < callers; i++ {
		working.Add(1)
		go func() {
			defer working.Done()
			work(raw)
		}()
	}
	working.Wait()

	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.NumGC == 0 {
		fail("collections", memory.NumGC)
	}
	fmt.Printf("calls %d, signals %d, interrupted %d, fds %d\n", calls, atomic.LoadInt64(&signals), interrupted,
		countFds()-before)
}
