import Testing

@testable import ControlPlane

/// JSON as nodes, and what is no JSON.
@Suite struct JSONReaderTests {
    private func read(_ text: String) throws -> YAMLNode { try JSONReader.read(Array(text.utf8)) }

    @Test func valuesHaveTheirTypes() throws {
        let node = try read(
            #" {"a": "1", "b": 1, "c": [true, null, -2.5e3], "d": {}, "e": "x\"\\\n\u00e9\ud83d\ude00/"} "#)
        #expect(node["a"]?.string == "1")
        #expect(node["b"]?.string == nil && node["b"]?.integer == 1)
        guard case .sequence(let items)? = node["c"]?.content else { throw JSONReader.Fault(problem: "c", offset: 0) }
        #expect(items.map(\.kind) == ["the boolean 'true'", "nothing", "the number '-2.5e3'"])
        #expect(node["e"]?.string == "x\"\\\né😀/")
    }

    @Test(arguments: [
        "", "{", "[1,", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1 2]", "{a: 1}", "'x'", "\"x", "\"\\q\"", "\"\\ud83d\"",
        "\"\\ud83dx\"", "\"\\u12\"", "nul", "truex", "1-", "+1x", "[1]]", "{\"a\":1,\"a\":2}", "\"a\nb\"", "NaN", "--1",
    ]) func whatIsNoJSONIsAnError(_ text: String) {
        #expect(throws: JSONReader.Fault.self) { try read(text) }
    }

    @Test func bytesThatAreNotUTF8AreAnError() {
        #expect(throws: JSONReader.Fault.self) { try JSONReader.read([34, 0xff, 34]) }
        #expect(throws: JSONReader.Fault.self) { try JSONReader.read([34, 92, 110, 0xff, 34]) }
    }

    @Test func depthIsBounded() {
        let text = String(repeating: "[", count: 100_000)
        #expect(throws: JSONReader.Fault.self) { try read(text) }
        #expect(throws: JSONReader.Fault.self) { try read(String(repeating: "{\"a\":", count: 1000)) }
    }

    @Test func partsThatNobodyReadsArePassedOver() throws {
        let text =
            #"{"metadata": {"managedFields": [{"f:x": "]}\"\\"}], "labels": {"env": "prod"}}, "env": [1, {"a": "}"}]}"#
        let node = try JSONReader.read(Array(text.utf8), skipping: ["managedFields", "env"])
        #expect(node["env"] == nil && node["metadata"]?["managedFields"] == nil)
        #expect(node["metadata"]?["labels"]?["env"]?.string == "prod")
        for end in 1..<text.utf8.count {
            #expect(throws: JSONReader.Fault.self) {
                try JSONReader.read(Array(text.utf8.prefix(end)), skipping: ["managedFields", "env"])
            }
        }
    }

    @Test func aListIsHandedOutItemByItem() throws {
        let text = #"{"items": [{"a": 1}, {"a": 2}], "metadata": {"resourceVersion": "7"}}"#
        var items: [Int] = []
        let root = try JSONReader.readList(Array(text.utf8)) { items.append($0["a"]?.integer ?? 0) }
        #expect(items == [1, 2] && root["metadata"]?["resourceVersion"]?.string == "7")
        #expect(throws: JSONReader.Fault.self) { try JSONReader.readList(Array("[1]".utf8)) { _ in } }
    }
}
