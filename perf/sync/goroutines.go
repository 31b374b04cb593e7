// SPDX-License-Identifier: BSL-1.0

// Two goroutines that do what the fibers of zsync_fibers.cpp do, on one processor.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// The CPU time of this process so far, as in harness/cell.hpp.
func cpuNanoseconds() float64 {
	const processCPUTime = 2
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, processCPUTime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return float64(now.Nano())
}

func run(first, second func()) {
	var both sync.WaitGroup
	both.Add(2)
	for _, each := range []func(){first, second} {
		go func(f func()) {
			f()
			both.Done()
		}(each)
	}
	both.Wait()
}

func lock(count int) {
	var mutex sync.Mutex
	run(func() {
		for n := 0; n != count; n++ {
			mutex.Lock()
			mutex.Unlock()
		}
	}, func() {})
}

func handOver(count int) {
	var mutex sync.Mutex
	take := func() {
		for n := 0; n < count; n += 2 {
			mutex.Lock()
			runtime.Gosched()
			mutex.Unlock()
		}
	}
	run(take, take)
}

func message(capacity, count int) {
	there := make(chan uint64, capacity)
	back := make(chan uint64, capacity)
	run(func() {
		for n := 0; n < count; n += 2 {
			there <- uint64(n)
			<-back
		}
		close(there)
	}, func() {
		for n := range there {
			back <- n
		}
	})
}

func main() {
	numbers := map[string]int{"count": 1000000, "capacity": 0, "warm_up": 10000}
	what := "message"
	for _, argument := range os.Args[1:] {
		name, value, _ := strings.Cut(argument, "=")
		if name == "what" {
			what = value
			continue
		}
		number, err := strconv.Atoi(value)
		if err != nil {
			fmt.Fprintln(os.Stderr, "sync_go:", err)
			os.Exit(1)
		}
		numbers[name] = number
	}
	runtime.GOMAXPROCS(1)
	runSome := func(count int) {
		switch what {
		case "lock":
			lock(count)
		case "hand-over":
			handOver(count)
		default:
			message(numbers["capacity"], count)
		}
	}
	runSome(numbers["warm_up"])

	start := cpuNanoseconds()
	runSome(numbers["count"])
	fmt.Printf("{\"cpu_ns\":%.6f}\n", (cpuNanoseconds()-start)/float64(numbers["count"]))
}
