internal import COpenSSL
package import MeshModel

/// What sessions of one identity are made from, in one role: certificate, key, roots and the protocol we speak.
///
/// Made once per identity and certificate, never per connection; immutable afterwards and shared by all threads. The library's
/// context with the roots in it is common to all identities with the same roots, the parsed certificate and key to both roles.
package final class TLSContext: Sendable {
    /// Which end of the handshake the context is for.
    package enum Role: Sendable { case client, server }

    package let role: Role
    package let identity: SpiffeID
    let common: TLSCommonContext
    /// What the identity presents.
    let own: TLSIdentity
    /// What is revoked, asked in every handshake; nil when nobody looks after revocation.
    let revocations: RevocationList?
    /// Whose record layer its connections use.
    let records: TLSRecords

    /// - Throws: `TLSFailure` naming what OpenSSL refused.
    package init(
        _ credentials: TLSCredentials, role: Role, revocations: RevocationList? = nil, records: TLSRecords = .libssl
    ) throws(TLSFailure) {
        self.role = role
        self.revocations = revocations
        self.records = records
        identity = credentials.identity
        common = try TLSCommonContext.of(rootsPEM: credentials.rootsPEM, records: records)
        own = try TLSIdentity(credentials, for: common)
    }

    /// The same identity in a role; everything is shared.
    package init(_ other: TLSContext, role: Role) {
        self.role = role
        (identity, common, own, revocations, records) =
            (other.identity, other.common, other.own, other.revocations, other.records)
    }
}
