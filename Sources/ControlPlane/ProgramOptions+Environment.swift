internal import Glibc

extension ProgramOptions {
    /// Fills what no flag says from Istio's environment variables `CRL_PATH` and `SECRET_TTL`.
    ///
    /// Flags win over the environment, the environment wins over the configuration file; an empty variable says nothing.
    /// - Throws: ``ConfigurationError`` for a duration that is none.
    package mutating func fillFromEnvironment() throws(ConfigurationError) {
        func variable(_ name: String) -> String? {
            guard let value = getenv(name), value.pointee != 0 else { return nil }
            return String(cString: value)
        }
        if crl == nil { crl = variable("CRL_PATH") }
        if secretTTL == nil, let text = variable("SECRET_TTL") {
            guard let seconds = CertificateLifetime.seconds(text) else {
                throw ConfigurationError(
                    file: "environment", problem: "SECRET_TTL=\(text.quoted) is not \(CertificateLifetime.form)")
            }
            secretTTL = seconds
        }
    }
}
