//! A product's picture: an abstract tile drawn from its SKU.
//!
//! No photographs are kept; each SKU gets a composition of simple shapes on a grid, in colours of
//! one family. The same SKU always draws the same tile: everything comes from one hash of it
//! (FNV-1a, stretched by SplitMix64). Plain SVG attributes, so that no inline style is needed.

/// Cells across and down.
const COLUMNS: u32 = 4;
const ROWS: u32 = 3;
/// Side of a cell in the units of the view box.
const CELL: u32 = 40;

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

/// A tile, ready to be drawn by its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Colour of the ground, in CSS notation.
    pub(crate) ground: String,
    pub(crate) cells: Vec<Cell>,
}

/// One shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) x: u32,
    pub(crate) y: u32,
    /// Degrees about the cell's middle.
    pub(crate) turn: u32,
    pub(crate) fill: String,
    pub(crate) path: &'static str,
}

impl Tile {
    /// The tile of a SKU.
    pub(crate) fn of(sku: &str) -> Self {
        let mut random = SplitMix64(fnv_1a(sku));
        let hue = random.below(360);
        let away = [150, 180, 205, 40][random.below(4) as usize];
        let accent = (hue + away) % 360;
        let colours = [
            format!("hsl({hue} 42% 38%)"),
            format!("hsl({hue} 48% 58%)"),
            format!("hsl({hue} 55% 74%)"),
            format!("hsl({accent} 62% 62%)"),
            format!("hsl({accent} 30% 26%)"),
        ];
        // Three shapes a tile: a motif repeats, which reads as a pattern and not as noise.
        let motif = [(); 3].map(|()| SHAPES[random.below(SHAPES.len() as u64) as usize]);
        let mut cells = Vec::new();
        for index in 0..COLUMNS * ROWS {
            // Some ground is left to see.
            if random.below(6) == 0 {
                continue;
            }
            cells.push(Cell {
                x: index % COLUMNS * CELL,
                y: index / COLUMNS * CELL,
                turn: random.below(4) * 90,
                fill: colours[random.below(colours.len() as u64) as usize].clone(),
                path: motif[random.below(3) as usize],
            });
        }
        Self {
            ground: format!("hsl({hue} 40% 90%)"),
            cells,
        }
    }
}

fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Steele, Lea and Flood's generator: small, and good from any seed.
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, bound: u64) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % bound).expect("bounds are small")
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
