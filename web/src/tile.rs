//! A product's picture: an abstract tile drawn from its SKU.
//!
//! No photographs are kept; each SKU gets a composition of simple shapes on a grid, in one of a
//! few palettes. The same SKU always draws the same tile: everything comes from one hash of it
//! (FNV-1a, stretched by SplitMix64). Plain SVG attributes, so that no inline style is needed.

/// Cells across and down.
const COLUMNS: u32 = 4;
const ROWS: u32 = 3;
/// Side of a cell in the units of the view box.
const CELL: u32 = 40;
/// Degrees.
const TURNS: [u32; 4] = [0, 90, 180, 270];

/// Shapes of one cell, with its corner at 0,0.
const SHAPES: [&str; 7] = [
    // quarter, half, whole circle
    "M0 0H40A40 40 0 0 1 0 40Z",
    "M0 20A20 20 0 0 1 40 20Z",
    "M20 4A16 16 0 0 1 20 36A16 16 0 0 1 20 4Z",
    // leaf
    "M0 0H20A20 20 0 0 1 40 20V40H20A20 20 0 0 1 0 20Z",
    // triangle, bar
    "M0 40L40 0V40Z",
    "M0 0H40V14H0Z",
    // two small quarters
    "M0 0H20A20 20 0 0 1 0 20ZM40 40H20A20 20 0 0 1 40 20Z",
];

/// A ground, and five colours that go with it and with one another.
struct Palette(&'static str, [&'static str; 5]);

const PALETTES: [Palette; 10] = [
    Palette("#eef0e6", ["#2f5d50", "#7fa48c", "#c3d3bb", "#d9825b", "#3a3f34"]),
    Palette("#f3ecdd", ["#23395b", "#6d8fb3", "#b9cbdc", "#d9a441", "#2c3038"]),
    Palette("#f6e9e6", ["#6b2d5c", "#b56a92", "#e3b5c4", "#eda462", "#3b2440"]),
    Palette("#e6f0ee", ["#0f4c5c", "#4f8f97", "#a7ccc9", "#e0705f", "#22333b"]),
    Palette("#f1efe0", ["#5b6236", "#9aa25f", "#cfd0a0", "#c9717f", "#3a3d24"]),
    Palette("#e9edf3", ["#1f2f56", "#5a75a8", "#aebfdc", "#79b8a0", "#1c2540"]),
    Palette("#f5ebe4", ["#8c3b2a", "#c97b5e", "#e6bfa6", "#7ba6c2", "#4a2a22"]),
    Palette("#eeeaf4", ["#4a3f7a", "#8b80b8", "#c5bfe0", "#dcb04a", "#2f2a4c"]),
    Palette("#e8efe8", ["#27503a", "#6b9a78", "#b4d0b5", "#b59bd0", "#20372a"]),
    Palette("#f2ebe3", ["#5a3e2b", "#a07a5a", "#d6bfa3", "#5fa8a0", "#37281e"]),
];

/// A tile, ready to be drawn by its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Colour of the ground, in CSS notation.
    pub(crate) ground: &'static str,
    pub(crate) cells: Vec<Cell>,
}

/// One shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) x: u32,
    pub(crate) y: u32,
    /// Degrees about the cell's middle.
    pub(crate) turn: u32,
    pub(crate) fill: &'static str,
    pub(crate) path: &'static str,
}

impl Tile {
    /// The tile of a SKU.
    pub(crate) fn of(sku: &str) -> Self {
        let mut random = SplitMix64(fnv_1a(sku));
        let Palette(ground, colours) = &PALETTES[random.below(PALETTES.len())];
        // Three shapes a tile: a motif repeats, which reads as a pattern and not as noise.
        let motif = [(); 3].map(|()| SHAPES[random.below(SHAPES.len())]);
        let mut cells = Vec::new();
        for index in 0..COLUMNS * ROWS {
            // Some ground is left to see.
            if random.below(6) == 0 {
                continue;
            }
            cells.push(Cell {
                x: index % COLUMNS * CELL,
                y: index / COLUMNS * CELL,
                turn: TURNS[random.below(TURNS.len())],
                fill: colours[random.below(colours.len())],
                path: motif[random.below(motif.len())],
            });
        }
        Self { ground, cells }
    }
}

fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Steele, Lea and Flood's generator: small, and good from any seed.
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_always_draws_the_same_tile_and_another_sku_another() {
        assert_eq!(Tile::of("MUG-1"), Tile::of("MUG-1"));
        assert_ne!(Tile::of("MUG-1"), Tile::of("MUG-2"));
    }

    #[test]
    fn every_tile_has_something_to_see_within_its_frame() {
        for number in 0..500 {
            let tile = Tile::of(&format!("SKU-{number}"));
            assert!(tile.cells.len() >= 4, "{number}");
            assert!(tile.cells.iter().all(|cell| cell.x < 160 && cell.y < 120));
        }
    }
}
