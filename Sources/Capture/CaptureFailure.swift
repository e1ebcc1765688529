package import EventLoop

/// Why a step of enrolment failed: the cause and what to do, for a person; the pod is named by who reports it.
package struct CaptureFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// One sentence, such as "port 15008 is taken …; stop that program".
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    /// A system call that failed while doing something.
    package init(_ doing: String, _ error: SystemError, hint: String = "") {
        let advice = hint.isEmpty ? CaptureFailure.advice(for: error) : hint
        self.init("cannot \(doing): \(error)\(advice.isEmpty ? "" : "; \(advice)")")
    }

    private static func advice(for error: SystemError) -> String {
        switch error.name {
        case "EPERM", "EACCES": "ztund needs the capabilities SYS_ADMIN and NET_ADMIN"
        case "EMFILE", "ENFILE": "the limit of open files is reached; raise it (ulimit -n)"
        default: ""
        }
    }
}
