internal import ControlPlane
internal import Glibc

/// State that an environment variable holds.
enum InlineState {
    /// Writes the state that a variable holds into the run directory, so that it is read and shown as any other.
    ///
    /// - Returns: the file's path.
    static func keep(_ state: String, in directory: String) throws(ConfigurationError) -> String {
        _ = mkdir(directory, 0o755)
        let path = "\(directory)/local-xds.yaml"
        unlink(path)
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw ConfigurationError(
                file: path, problem: "cannot be written: \(String(cString: strerror(errno)))",
                hint: "LOCAL_XDS is kept there; choose another --run-dir")
        }
        defer { close(file) }
        var bytes = Array(state.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw ConfigurationError(file: path, problem: "cannot be written") }
            bytes = bytes.dropFirst(count)
        }
        return path
    }
}
