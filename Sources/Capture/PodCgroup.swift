internal import CLinux

/// The cgroup (version 2) whose processes' connects are looked at.
package enum PodCgroup {
    /// Where systems mount the version 2 tree: by itself, or beside version 1.
    static let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
    /// What kubelet calls the parent of all pods, by its two drivers.
    private static let parents = ["kubepods.slice", "kubepods"]

    /// The parent of all pods where there is one, else the root: pods are told apart by their namespaces, not by cgroups.
    static func find() throws(CaptureFailure) -> String {
        for mount in mounts where exists("\(mount)/cgroup.controllers") {
            return parents.map { "\(mount)/\($0)" }.first { exists("\($0)/cgroup.procs") } ?? mount
        }
        throw CaptureFailure(
            "no cgroup version 2 tree at \(mounts.joined(separator: " or ")); name the pods' parent with --pod-cgroup")
    }

    private static func exists(_ path: String) -> Bool {
        let number = zt_open_read(path)
        if number >= 0 { zt_close(number) }
        return number >= 0
    }
}
