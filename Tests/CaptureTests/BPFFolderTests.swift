import Glibc
import Testing

@testable import Capture

@Suite struct BPFFolderTests {
    @Test func theUsualRunDirectoryHasTheRootAndOthersAFolderInIt() {
        #expect(BPFFolder.usual(runDirectory: "/run/ztun", standard: "/run/ztun") == "/sys/fs/bpf/ztun")
        #expect(BPFFolder.usual(runDirectory: "//run/./ztun/", standard: "/run/ztun") == "/sys/fs/bpf/ztun")
        let other = BPFFolder.usual(runDirectory: "/zt-none/run1", standard: "/run/ztun")
        // A successor, of another version too, finds what is pinned only as long as this stays as it is.
        #expect(other == "/sys/fs/bpf/ztun/run1-f5812841751f2e2e")
        #expect(other != BPFFolder.usual(runDirectory: "/zt-other/run1", standard: "/run/ztun"))
    }

    /// Class: a name that a BPF file system refuses (dots), or one too long for it.
    @Test(arguments: ["/run/z.tun", "/", "", "/run/\u{1F980}\n..", "/" + String(repeating: "x", count: 4000)])
    func namesAreShortAndPlain(path: String) {
        let name = BPFFolder.name(of: path)
        #expect((17...49).contains(name.utf8.count))
        #expect(name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })
        #expect(name != BPFFolder.name(of: path + "x"))
    }

    @Test func linksLeadToOnePlace() throws {
        let folder = "/tmp/zt-folder-\(getpid())"
        mkdir(folder, 0o700)
        defer { rmdir(folder) }
        #expect(symlink(folder, folder + "-link") == 0)
        defer { unlink(folder + "-link") }
        #expect(BPFFolder.resolved(folder + "-link/not/there") == folder + "/not/there")
        #expect(BPFFolder.resolved(folder + "/..") == "/tmp")
        #expect(BPFFolder.resolved("/") == "/")
    }
}
