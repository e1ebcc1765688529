internal import CLinux
internal import Glibc

extension Kernel {
    /// CPU time of the calling thread, nanoseconds.
    package static func threadCPUTime() -> UInt64 {
        var time = timespec()
        guard clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The calling thread goes behind the others of the process where processors are short: a third of their weight, and
    /// no more than 0.1 ms at a time before one that wakes up runs (Linux 6.12 and later; else the kernel's own slice).
    ///
    /// For threads whose work takes seconds, such as reading a large state, beside threads that answer in microseconds.
    package static func giveWay() { zt_give_way() }
}
