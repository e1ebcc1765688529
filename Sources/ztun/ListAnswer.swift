internal import ArgumentParser
internal import FoundationEssentials

/// What every list command takes.
struct ListOptions: ParsableArguments {
    @OptionGroup var options: Options

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    @Option(help: "Most rows, at most 10000. When there are more, the output says so.")
    var limit: Int?

    func validate() throws {
        if let limit, !(0...10_000).contains(limit) { throw ValidationError("--limit takes a number from 0 to 10000") }
    }
}

/// The answer to a list question: the rows of one program.
struct ListAnswer<Row: Decodable>: Decodable {
    /// A key whose name is known only at run time.
    struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    let program: String
    let total: Int
    let matching: Int
    let silentWorkers: Int
    /// Of a ztund: its place among those that replaced one another.
    let generation: Int?
    let rows: [Row]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        program = try container.decode(String.self, forKey: Key(stringValue: "program"))
        total = try container.decode(Int.self, forKey: Key(stringValue: "total"))
        matching = try container.decode(Int.self, forKey: Key(stringValue: "matching"))
        silentWorkers = try container.decodeIfPresent(Int.self, forKey: Key(stringValue: "silentWorkers")) ?? 0
        generation = try container.decodeIfPresent(Int.self, forKey: Key(stringValue: "generation"))
        let fixed: Set<String> = ["program", "total", "matching", "silentWorkers", "generation"]
        // The one list in the answer is named after what was asked for.
        let key = container.allKeys.first { key in
            !fixed.contains(key.stringValue) && (try? container.decode([Row].self, forKey: key)) != nil
        }
        guard let key else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "no rows"))
        }
        rows = try container.decode([Row].self, forKey: key)
    }
}

extension ListOptions {
    /// Asks for a list and prints it.
    ///
    /// - Parameters:
    ///   - kind: the path, `connections` for instance.
    ///   - filters: names and values of the query; empty values are left out.
    ///   - usual: how many rows there are without `--limit`.
    ///   - withOlder: whether ztunds that were replaced have something to say.
    ///   - table: the rows as a table.
    func show<Row: Decodable>(
        _ kind: String, _ filters: KeyValuePairs<String, String>, usual: Int = 1000, _ rowType: Row.Type,
        withOlder: Bool = false, table: ([Row]) -> Table
    ) throws {
        var items = ["limit=\(limit ?? usual)"]
        for (name, value) in filters where !value.isEmpty { items.append("\(name)=\(URLText.encoded(value))") }
        let programs = try Programs.found(options)
        let older = withOlder ? Programs.olderSockets(options) : []
        var failures: [Failure] = []
        var answered = 0
        var hasProblem = false
        for exchange in Programs.ask(
            programs, options, method: "GET", target: "/\(kind)?\(items.joined(separator: "&"))", older: older)
        {
            do throws(Failure) {
                let body = try exchange.documentBody()
                guard let answer = try? JSONDecoder().decode(ListAnswer<Row>.self, from: Data(body)) else {
                    throw exchange.misunderstood("list")
                }
                answered += 1
                hasProblem = hasProblem || answer.silentWorkers > 0
                switch output {
                case .json: print(String(decoding: body, as: UTF8.self), terminator: "")
                case .yaml:
                    let document = try? JSONDecoder().decode(Document.self, from: Data(body))
                    print("---\n\(document?.yaml ?? "{}\n")", terminator: "")
                case .table:
                    if programs.count + older.count > 1 {
                        print(answer.generation.map { "\(answer.program), generation \($0):" } ?? "\(answer.program):")
                    }
                    print(table(answer.rows).text, terminator: "")
                }
                tell(answer, kind)
            } catch {
                failures.append(error)
            }
        }
        for failure in failures.dropFirst(answered == 0 ? 1 : 0) { Ztun.standardError("ztun: \(failure.message)") }
        if answered == 0, let failure = failures.first { throw failure }
        if hasProblem || !failures.isEmpty { throw ExitCode(ExitReason.problem.rawValue) }
    }

    /// What is missing in the output is said beside it.
    private func tell<Row>(_ answer: ListAnswer<Row>, _ kind: String) {
        if answer.silentWorkers > 0 {
            Ztun.standardError(
                "ztun: \(Quantity.items(answer.silentWorkers, "worker", "workers")) of \(answer.program) did not answer: "
                    + "the list lacks what they have; see `ztun status`")
        }
        if answer.matching > answer.rows.count {
            Ztun.standardError(
                "\(answer.rows.count) of \(answer.matching) \(kind) shown: use a filter, or --limit (at most 10000)")
        } else if answer.rows.isEmpty {
            let all = answer.total > 0 ? " of \(answer.total)" : ""
            Ztun.standardError("\(answer.program): no \(kind)\(all) to show")
        }
    }
}

extension Exchange {
    /// The body of a good answer.
    func documentBody() throws(Failure) -> [UInt8] {
        switch outcome {
        case .failed(let failure): throw failure
        case .answered(200, let body): return body
        case .answered(404, _):
            throw Failure(
                code: .notAnswering,
                message: "\(program.rawValue) at \(path) does not know this command: it is older than this ztun; see "
                    + "that both have the same version (`ztun version`)")
        case .answered(let status, let body):
            throw Failure(
                code: .notAnswering,
                message: "\(program.rawValue) at \(path) refuses to answer (\(status)): "
                    + Table.printable(String(decoding: body.prefix(300), as: UTF8.self)))
        case nil: throw Failure(code: .notAnswering, message: "\(path) was not asked")
        }
    }

    /// The failure of an answer whose shape is not known.
    func misunderstood(_ what: String) -> Failure {
        Failure(
            code: .notAnswering,
            message:
                "\(program.rawValue) at \(path) answers with a \(what) this ztun does not understand; see that both "
                + "have the same version (`ztun version`)")
    }
}

/// Text for a query string.
enum URLText {
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16)
                result += byte < 16 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return result
    }
}
