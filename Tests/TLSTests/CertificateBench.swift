import FoundationEssentials
import Glibc
import MeshModel
import Testing

@testable import TLS

/// A scratch folder with certificates in it, removed at the end.
final class CertificateBench {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "zt-certificates-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func authority(now: Int64) throws(CertificateError) -> CertificateAuthority {
        try CertificateAuthority.open(directory: "\(folder)/ca", trustDomain: "cluster.local", now: now)
    }

    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws {
        try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
        chmod("\(folder)/\(name)", mode)
    }

    /// The text of the error that the body throws; nil when it throws none.
    func fault(_ body: () throws(CertificateError) -> some Any) -> String? {
        do throws(CertificateError) {
            _ = try body()
            return nil
        } catch {
            return error.description
        }
    }

    /// Runs the `openssl` tool in the folder and returns all that it printed.
    func openssl(_ arguments: String...) throws -> String {
        let output = "\(folder)/output"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let paths = arguments.map { FileManager.default.fileExists(atPath: "\(folder)/\($0)") ? "\(folder)/\($0)" : $0 }
        var words: [UnsafeMutablePointer<CChar>?] = (["openssl"] + paths).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid = pid_t()
        let code = posix_spawnp(&pid, "openssl", &actions, nil, &words, environ)
        try #require(code == 0, "the openssl tool does not start: \(String(cString: strerror(code)))")
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return String(decoding: try Data(contentsOf: URL(filePath: output)), as: UTF8.self)
    }
}
