internal import TLS

/// A configuration file as bytes.
enum ConfigurationFile {
    /// Reads a file of at most 1 MiB.
    static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        do throws(CertificateError) {
            return try FileContents(path: path, limit: 1 << 20).bytes
        } catch {
            throw ConfigurationError(file: path, problem: error.description)
        }
    }
}
