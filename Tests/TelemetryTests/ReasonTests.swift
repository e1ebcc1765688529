import Glibc
import MeshModel
import Testing

@Suite struct ReasonTests {
    @Test(arguments: Reason.allCases)
    func everyReasonIsExplained(_ reason: Reason) {
        let explanation = reason.explanation
        #expect(explanation.cause.count > 20 && explanation.cause.hasSuffix("."))
        #expect(explanation.nextStep.count > 20 && explanation.nextStep.hasSuffix("."))
        // A pipe would end the cell of the table.
        #expect(!explanation.cause.contains("|") && !explanation.nextStep.contains("|"))
    }

    @Test func noTwoReasonsSayTheSame() {
        #expect(Set(Reason.allCases.map(\.explanation)).count == Reason.allCases.count)
    }

    /// Repair with `ztun reasons -o markdown > docs/reasons.md`.
    @Test func theHandbookIsCurrent() throws {
        let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(path)/docs/reasons.md", "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        #expect(String(decoding: bytes.prefix(count), as: UTF8.self) == Reason.handbook)
    }
}
