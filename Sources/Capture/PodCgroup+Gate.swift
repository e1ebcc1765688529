internal import Glibc

extension PodCgroup {
    /// A cgroup that is there: the named one, made when it is missing, since at boot the kubelet has not come yet; else
    /// the one that is found.
    package static func made(_ named: String?) throws(CaptureFailure) -> String {
        guard let named else { return try find() }
        if mkdir(named, 0o755) != 0, errno != EEXIST {
            throw CaptureFailure("cannot make the cgroup \"\(escaped(named))\": \(String(cString: strerror(errno)))")
        }
        guard access("\(named)/cgroup.procs", F_OK) == 0 else {
            rmdir(named)
            throw CaptureFailure("\"\(escaped(named))\" is not in a cgroup version 2 tree")
        }
        return named
    }

    /// The path of a cgroup at most six levels below the root, by its id; nil when there is none.
    package static func path(ofID id: UInt64) -> String? {
        for mount in mounts where access("\(mount)/cgroup.controllers", F_OK) == 0 {
            var level = [mount]
            for _ in 0..<7 {
                for path in level {
                    var information = stat()
                    if lstat(path, &information) == 0, information.st_ino == id { return path }
                }
                level = level.flatMap { parent in
                    NamespaceCensus.entries(of: parent).map { "\(parent)/\($0)" }.filter {
                        access("\($0)/cgroup.procs", F_OK) == 0
                    }
                }
            }
        }
        return nil
    }
}
