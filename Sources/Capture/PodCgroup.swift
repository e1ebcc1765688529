internal import CLinux
internal import Glibc

/// The cgroup (version 2) whose processes' connects are looked at.
package enum PodCgroup {
    /// Where systems mount the version 2 tree: by itself, or beside version 1.
    static let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
    /// What kubelet calls the parent of all pods, by its two drivers, and where it has a tree of its own (kind).
    private static let parents = [
        "kubepods.slice", "kubepods", "kubelet.slice/kubelet-kubepods.slice", "kubelet/kubepods",
    ]
    /// The number of a version 2 tree's real root.
    private static let rootNumber: UInt64 = 1

    /// The parent of all pods where there is one, else the root: pods are told apart by their namespaces, not by cgroups.
    static func find() throws(CaptureFailure) -> String {
        for mount in mounts where exists("\(mount)/cgroup.controllers") {
            if let parent = parents.map({ "\(mount)/\($0)" }).first(where: { exists("\($0)/cgroup.procs") }) {
                return parent
            }
            var information = stat()
            guard stat(mount, &information) == 0, information.st_ino == rootNumber else {
                // Programs there would see the connects of this container's own processes and miss those of the pods.
                throw CaptureFailure(
                    "the cgroup tree at \(mount) is a container's own; mount the host's there, or name the pods' parent with "
                        + "--pod-cgroup")
            }
            return mount
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
