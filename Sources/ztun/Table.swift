/// Text in columns, two blanks between them.
struct Table {
    private var rows: [[String]]
    private var indent = "  "

    init(_ header: String...) {
        rows = [header]
    }

    mutating func add(_ cells: String...) {
        rows.append(cells.map { $0.isEmpty ? "-" : Self.printable($0) })
    }

    /// The same without the indentation, for a table that stands alone.
    var flush: Table {
        var table = self
        table.indent = ""
        return table
    }

    var isEmpty: Bool { rows.count == 1 }

    /// The lines, each with its end; the last column is not padded.
    var text: String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        var text = ""
        for row in rows {
            var line = indent
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            text += line + "\n"
        }
        return text
    }

    /// The text with everything a terminal could act on shown as `\u{…}`: it may come from a peer.
    static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
