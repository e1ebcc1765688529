/// Why a CNI call failed, as the CNI specification (1.0, "Error") has it.
struct CNIFailure: Error {
    /// 1 to 99 are the specification's.
    enum Code: Int {
        case incompatibleVersion = 1
        case invalidEnvironment = 4
        case inputOutput = 5
        case undecodable = 6
        case invalidConfiguration = 7
        /// The same call may succeed later.
        case tryAgainLater = 11
        /// STATUS (1.1): no pod can be added now.
        case notAvailable = 50
        /// The pod cannot be enrolled.
        case notEnrolled = 100
    }

    let code: Code
    let message: String
    var details = ""

    /// What goes to standard output.
    func document(version: String) -> Document {
        .map([
            "cniVersion": .text(version), "code": .integer(Int64(code.rawValue)), "msg": .text(message),
            "details": .text(details),
        ])
    }
}
