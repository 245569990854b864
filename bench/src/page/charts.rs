//! Charts as SVG: bars with whiskers from the least to the most, and lines over minutes. Nothing is drawn of nothing.

use anyhow::anyhow;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::figures::{Bar, Line, Side};

const WIDTH: u32 = 860;
const BAR_HEIGHT: u32 = 26;
const LABELS_WIDTH: i32 = 230;
const LINES_HEIGHT: u32 = 360;
const FONT: &str = "sans-serif";
const TEXT: RGBColor = RGBColor(60, 60, 67);
const PALETTE: [RGBColor; 3] = [RGBColor(0, 95, 175), RGBColor(120, 130, 140), RGBColor(200, 110, 30)];

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Horizontal bars, the largest value across the whole width.
pub(super) fn bars(bars: &[Bar], unit: &str) -> anyhow::Result<Option<String>> {
    let Some(most) = bars.iter().map(|bar| bar.most).max_by(f64::total_cmp) else { return Ok(None) };
    let mut svg = String::new();
    let height = BAR_HEIGHT * (u32::try_from(bars.len())? + 1);
    let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    canvas.fill(&WHITE).map_err(broken)?;
    let scale = f64::from(WIDTH as i32 - LABELS_WIDTH - 110) / most;
    for (at, bar) in bars.iter().enumerate() {
        draw_bar(&canvas, bar, i32::try_from(at)? * BAR_HEIGHT as i32 + 6, scale)?;
    }
    text(
        &canvas,
        format!("{unit}; whiskers from the least to the most"),
        (LABELS_WIDTH, height as i32 - 12),
        HPos::Left,
    )?;
    canvas.present().map_err(broken)?;
    drop(canvas);
    Ok(Some(svg))
}

fn draw_bar(canvas: &Canvas<'_>, bar: &Bar, top: i32, scale: f64) -> anyhow::Result<()> {
    let (bottom, middle) = (top + BAR_HEIGHT as i32 - 8, top + BAR_HEIGHT as i32 / 2 - 4);
    let at = |value: f64| LABELS_WIDTH + (value * scale) as i32;
    text(canvas, bar.label.clone(), (LABELS_WIDTH - 8, middle), HPos::Right)?;
    let colour = match bar.side {
        Side::Engine => PALETTE[0],
        Side::Floor => PALETTE[1],
        Side::Peer => PALETTE[2],
    };
    let body = Rectangle::new([(LABELS_WIDTH, top), (at(bar.median), bottom)], colour.filled());
    canvas.draw(&body).map_err(broken)?;
    let whisker = PathElement::new([(at(bar.least), middle), (at(bar.most), middle)], TEXT.stroke_width(2));
    canvas.draw(&whisker).map_err(broken)?;
    let value = if bar.median < 100.0 { format!("{:.1}", bar.median) } else { format!("{:.0}", bar.median) };
    text(canvas, value, (at(bar.most) + 6, middle), HPos::Left)
}

fn text(canvas: &Canvas<'_>, words: String, at: (i32, i32), side: HPos) -> anyhow::Result<()> {
    let style = (FONT, 13).into_font().color(&TEXT).pos(Pos::new(side, VPos::Center));
    canvas.draw(&Text::new(words, at, style)).map_err(broken)
}

/// Lines over minutes, from zero.
pub(super) fn lines(lines: &[Line], unit: &str) -> anyhow::Result<Option<String>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let Some(until) = points().map(|point| point.0).max_by(f64::total_cmp) else { return Ok(None) };
    let most = points().map(|point| point.1).fold(1.0, f64::max);
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, (WIDTH, LINES_HEIGHT)).into_drawing_area();
    canvas.fill(&WHITE).map_err(broken)?;
    let mut chart = ChartBuilder::on(&canvas)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..until, 0.0..most * 1.1)
        .map_err(broken)?;
    let label = (FONT, 13).into_font().color(&TEXT);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("minutes")
        .y_desc(unit)
        .label_style(label.clone())
        .draw()
        .map_err(broken)?;
    for (line, colour) in lines.iter().zip(PALETTE.into_iter().cycle()) {
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))
            .map_err(broken)?
            .label(line.label.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font(label)
        .draw()
        .map_err(broken)?;
    drop(chart);
    canvas.present().map_err(broken)?;
    drop(canvas);
    Ok(Some(svg))
}

fn broken(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a chart can't be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_carry_their_labels_and_nothing_is_drawn_of_nothing() {
        let bar = Bar { label: "somebody".to_owned(), median: 2.0, least: 1.0, most: 3.0, side: Side::Peer };
        let svg = bars(&[bar], "jobs/s").unwrap().unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("somebody") && svg.contains("jobs/s"));
        assert_eq!(bars(&[], "jobs/s").unwrap(), None);
    }

    #[test]
    fn lines_carry_their_labels_and_nothing_is_drawn_of_nothing() {
        let line = Line { label: "somebody".to_owned(), points: vec![(0.5, 10.0), (1.0, 20.0)] };
        let svg = lines(&[line], "jobs/s").unwrap().unwrap();
        assert!(svg.contains("somebody") && svg.contains("minutes"));
        assert_eq!(lines(&[], "jobs/s").unwrap(), None);
    }
}
