internal import Glibc
internal import StatusModel

/// What the kernel says of this process, under the names Prometheus clients use.
enum ProcessFigures {
    static func metrics(startedAt: StatusTime) -> [Metric] {
        var metrics = [
            Metric(
                "process_start_time_seconds", .gauge, help: "Start of the process, seconds since 1970",
                value: Double(startedAt.unixSeconds))
        ]
        if let count = openDescriptors() {
            metrics.append(Metric("process_open_fds", .gauge, help: "Open file descriptors", value: Double(count)))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            metrics.append(
                Metric("process_max_fds", .gauge, help: "Most file descriptors", value: Double(limit.rlim_cur)))
        }
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
            let micros = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
            metrics.append(
                Metric(
                    "process_cpu_seconds", .counter, help: "User and system CPU time",
                    value: Double(seconds) + Double(micros) / 1_000_000))
        }
        if let bytes = residentBytes() {
            metrics.append(Metric("process_resident_memory_bytes", .gauge, help: "Resident memory", value: bytes))
        }
        return metrics
    }

    private static func openDescriptors() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        // The directory's own descriptor and the entries `.` and `..` do not count.
        var count = -3
        while readdir(directory) != nil { count += 1 }
        return count
    }

    private static func residentBytes() -> Double? {
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = read(file, &buffer, buffer.count)
        let fields = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Double(fields[1]) else { return nil }
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }
}
