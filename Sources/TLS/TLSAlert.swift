/// Alerts of RFC 8446 6 that the record layer sends or knows by name.
struct TLSAlert: RawRepresentable, Sendable, Equatable, CustomStringConvertible {
    let rawValue: UInt8

    static let closeNotify = TLSAlert(rawValue: 0)
    static let unexpectedMessage = TLSAlert(rawValue: 10)
    static let badRecordMac = TLSAlert(rawValue: 20)
    static let recordOverflow = TLSAlert(rawValue: 22)
    static let illegalParameter = TLSAlert(rawValue: 47)
    static let decodeError = TLSAlert(rawValue: 50)
    static let internalError = TLSAlert(rawValue: 80)
    static let userCanceled = TLSAlert(rawValue: 90)

    var description: String {
        switch self {
        case .closeNotify: "close_notify"
        case .unexpectedMessage: "unexpected_message"
        case .badRecordMac: "bad_record_mac"
        case .recordOverflow: "record_overflow"
        case .illegalParameter: "illegal_parameter"
        case .decodeError: "decode_error"
        case .internalError: "internal_error"
        case .userCanceled: "user_canceled"
        default: "alert \(rawValue)"
        }
    }
}
