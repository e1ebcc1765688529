/// Why a request to the API server brought no answer.
enum APIFailure: Error, Hashable, Sendable {
    /// The connection could not be made or broke; one line of safe text.
    case transport(String)
    /// What is to be shown to the server cannot be read.
    case credentials(String)
    /// Nothing came in time.
    case timeout
    /// The answer is not what was asked for; one line of safe text.
    case rubbish(String)
    /// An answer with a status other than 2xx.
    case status(Int, message: String, retryAfter: Int?)
    /// The process is ending.
    case stopped
}

extension APIFailure: CustomStringConvertible {
    var description: String {
        switch self {
        case .transport(let text), .credentials(let text), .rubbish(let text): text
        case .timeout: "no answer in time"
        case .status(let code, let message, _): message.isEmpty ? "status \(code)" : "status \(code): \(message)"
        case .stopped: "the process ends"
        }
    }
}
