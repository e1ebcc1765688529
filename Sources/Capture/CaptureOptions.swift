package import MeshModel

/// TCP keepalive on connections of applications.
package struct KeepAlive: Sendable, Hashable {
    package var isEnabled = true
    /// Seconds of silence before the first probe.
    package var idle: Int32 = 180
    /// Seconds between probes.
    package var interval: Int32 = 180
    package var probes: Int32 = 9

    package init() {}
}

/// What the operator may choose about capture; the same for all pods of a node.
package struct CaptureOptions: Sendable, Hashable {
    /// How traffic is brought to ztund's sockets.
    package var mode: CaptureMode
    /// Source addresses (the node's, an agent's) whose connections reach the application directly. Empty by default:
    /// an address alone is no proof of who opens a connection.
    package var probeSources: [IPPrefix]
    /// The cgroup above all pods, for BPF modes; nil to look for it.
    package var podCgroup: String?
    /// The cgroup of the node's probing agent: its connections from an address of the node reach applications directly.
    package var probeCgroup: String?
    /// A folder of the BPF file system, made when it is missing.
    package var bpfDirectory = BPFFolder.root
    /// Where what kernel settings were before is kept for the ztund after this one; nil to keep it in memory only.
    package var settingsDirectory: String?
    /// Where a boot gate has its pins.
    package var gateDirectory = BootGate.usualFolder
    /// The program that installs rules: a name looked up on PATH, or a path.
    package var nftProgram: String
    /// Nanoseconds until a failed enrolment or removal is tried again.
    package var retryInterval: UInt64
    /// Nanoseconds between two looks at whether the pod is still there, and everything installed where no watch tells.
    package var verifyInterval: UInt64
    /// Nanoseconds between two looks at everything where a watch tells of most changes: kernel settings and programs are
    /// not among them.
    package var backstopInterval: UInt64 = 9_000_000_000

    /// Whether each pod's capture is tested after enrolment and after repairs, with connections of ztund's own.
    package var canary = false

    /// How connections that have no pings of their own find out that the other side is gone.
    package var keepAlive = KeepAlive()

    package init(
        mode: CaptureMode = .nft, probeSources: [IPPrefix] = [], nftProgram: String = "nft",
        retryInterval: UInt64 = 5_000_000_000, verifyInterval: UInt64 = 3_000_000_000
    ) {
        self.mode = mode
        self.probeSources = probeSources
        self.nftProgram = nftProgram
        self.retryInterval = retryInterval
        self.verifyInterval = verifyInterval
    }
}
