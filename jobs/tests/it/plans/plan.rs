//! A plan: its shape, a line a node, without anything that differs from day to day, and how much was read for it.

use serde_json::Value;

/// What the server said of a statement that has run.
pub(super) struct Plan {
    /// The statement, in one line.
    pub(super) query: String,
    pub(super) root: Node,
}

/// A step of it.
pub(super) struct Node {
    /// What it does, to what, by which index, and under which conditions.
    pub(super) label: String,
    /// The table it scans.
    pub(super) table: Option<String>,
    pub(super) sequential: bool,
    /// Rows it gave on or threw away, in all its runs.
    pub(super) rows: f64,
    /// Rows that the planner thought it would give on.
    pub(super) rows_planned: f64,
    /// Pages that it and what is below it looked at.
    pub(super) pages: u64,
    /// Whether it is in a place of its own: `CTE picked`.
    place: String,
    below: Vec<Node>,
}

impl Plan {
    pub(super) fn read(json: &str) -> Self {
        let told: Value = serde_json::from_str(json).unwrap();
        Self { query: in_one_line(told["Query Text"].as_str().unwrap()), root: Node::read(&told["Plan"]) }
    }

    /// The nodes, from above.
    pub(super) fn nodes(&self) -> Vec<&Node> {
        let mut nodes = vec![&self.root];
        let mut next = 0;
        while let Some(node) = nodes.get(next) {
            let below: Vec<&Node> = node.below.iter().collect();
            nodes.extend(below);
            next += 1;
        }
        nodes
    }

    /// Its shape: two plans of one shape read in the same way.
    pub(super) fn shape(&self) -> String {
        self.root.shape(1)
    }
}

impl Node {
    fn read(told: &Value) -> Self {
        let text = |key: &str| told[key].as_str().unwrap_or_default();
        let number = |key: &str| told[key].as_f64().unwrap_or_default();
        let runs = number("Actual Loops");
        let thrown_away: f64 =
            ["Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter"]
                .map(number)
                .iter()
                .sum();
        Self {
            label: label(told),
            table: told["Relation Name"].as_str().map(str::to_owned),
            sequential: text("Node Type") == "Seq Scan",
            rows: (number("Actual Rows") + thrown_away) * runs,
            rows_planned: number("Plan Rows"),
            pages: ["Shared Hit Blocks", "Shared Read Blocks"].iter().filter_map(|key| told[*key].as_u64()).sum(),
            place: place(text("Parent Relationship"), text("Subplan Name")),
            below: told["Plans"].as_array().into_iter().flatten().map(Node::read).collect(),
        }
    }

    /// Days with the same plan are one.
    fn shape(&self, depth: usize) -> String {
        let mut lines = format!("{}{}{}\n", "  ".repeat(depth), self.place, self.label);
        let mut seen = Vec::new();
        for below in &self.below {
            let shape = below.shape(depth + 1);
            if !(shape.contains("_day") && seen.contains(&shape)) {
                lines.push_str(&shape);
                seen.push(shape);
            }
        }
        lines
    }
}

fn label(told: &Value) -> String {
    let text = |key: &str| told[key].as_str().unwrap_or_default();
    let kind = match text("Node Type") {
        "ModifyTable" => text("Operation"),
        kind => kind,
    };
    let mut label = kind.to_owned();
    for (key, plain) in [("Join Type", "Inner"), ("Strategy", "Plain"), ("Scan Direction", "Forward")] {
        match told[key].as_str() {
            Some(said) if said != plain => label.push_str(&format!(" {}", said.to_lowercase())),
            _ => {}
        }
    }
    if !text("Index Name").is_empty() {
        label.push_str(&format!(" using {}", any_day(text("Index Name"))));
    }
    let whose = ["Relation Name", "CTE Name", "Function Name"].map(text).into_iter().find(|name| !name.is_empty());
    if let Some(name) = whose {
        label.push_str(&format!(" on {}", any_day(name)));
    }
    let conditions = [
        ("Index Cond", "index"),
        ("Hash Cond", "hash"),
        ("Merge Cond", "merge"),
        ("TID Cond", "tid"),
        ("Recheck Cond", "recheck"),
        ("Join Filter", "join filter"),
        ("Filter", "filter"),
    ];
    let conditions: Vec<&str> =
        conditions.iter().filter(|(key, _)| !told[*key].is_null()).map(|(_, short)| *short).collect();
    if !conditions.is_empty() {
        label.push_str(&format!(" ({})", conditions.join(", ")));
    }
    label
}

/// Numbers of subplans differ from version to version.
fn place(relationship: &str, subplan: &str) -> String {
    match relationship {
        "InitPlan" if subplan.starts_with("CTE ") => format!("{subplan}: "),
        "InitPlan" => "once: ".to_owned(),
        "SubPlan" => "subplan: ".to_owned(),
        _ => String::new(),
    }
}

/// A partition's name, whatever its day.
fn any_day(name: &str) -> String {
    let is_day = |part: &&str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    name.split('_').map(|part| if is_day(&part) { "day" } else { part }).collect::<Vec<_>>().join("_")
}

/// A statement without its line breaks.
pub(super) fn in_one_line(statement: &str) -> String {
    statement.split_whitespace().collect::<Vec<_>>().join(" ")
}
