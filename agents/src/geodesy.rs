//! Distances and courses on a sphere of the earth's mean radius: good to 0.5 %, which is far inside what a position
//! report of an aircraft is worth. No datum conversions here.

/// Mean radius of the earth, metres (IUGG).
const RADIUS_M: f64 = 6_371_008.8;

/// A place: degrees east and north.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) lon: f64,
    pub(crate) lat: f64,
}

/// Great-circle distance in metres (haversine: stable for near places).
pub(crate) fn distance_m(a: Place, b: Place) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.lon - a.lon).to_radians() / 2.0).sin();
    let h = half_lat.mul_add(half_lat, lat_a.cos() * lat_b.cos() * half_lon * half_lon);
    2.0 * RADIUS_M * h.clamp(0.0, 1.0).sqrt().asin()
}

/// Course from `a` towards `b`, degrees true, 0 to 360.
pub(crate) fn course_deg(a: Place, b: Place) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let east = (b.lon - a.lon).to_radians();
    let y = east.sin() * lat_b.cos();
    let x = lat_a.cos() * lat_b.sin() - lat_a.sin() * lat_b.cos() * east.cos();
    y.atan2(x).to_degrees().rem_euclid(360.0)
}

/// Where something ends up that moves `distance_m` along `course_deg`.
pub(crate) fn moved(from: Place, course_deg: f64, distance_m: f64) -> Place {
    let (lat, course, angle) = (from.lat.to_radians(), course_deg.to_radians(), distance_m / RADIUS_M);
    let to_lat = (lat.sin() * angle.cos() + lat.cos() * angle.sin() * course.cos()).clamp(-1.0, 1.0).asin();
    let east = (course.sin() * angle.sin() * lat.cos()).atan2(angle.cos() - lat.sin() * to_lat.sin());
    let lon = (from.lon + east.to_degrees() + 540.0).rem_euclid(360.0) - 180.0;
    Place { lon, lat: to_lat.to_degrees() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAX: Place = Place { lon: -118.408, lat: 33.9425 };
    const JFK: Place = Place { lon: -73.7789, lat: 40.6397 };

    #[test]
    fn los_angeles_to_new_york_is_3974_km() {
        assert!((distance_m(LAX, JFK) - 3_974_000.0).abs() < 5_000.0);
        assert!((course_deg(LAX, JFK) - 66.0).abs() < 1.0);
    }

    #[test]
    fn moving_and_measuring_agree() {
        for course in [0.0, 45.0, 133.0, 270.0] {
            let there = moved(LAX, course, 25_000.0);
            assert!((distance_m(LAX, there) - 25_000.0).abs() < 0.5);
            let turned = (course_deg(LAX, there) - course + 180.0).rem_euclid(360.0) - 180.0;
            assert!(turned.abs() < 0.01, "{course}: {turned}");
        }
    }

    #[test]
    fn the_date_line_is_no_distance() {
        let (west, east) = (Place { lon: 179.999, lat: 0.0 }, Place { lon: -179.999, lat: 0.0 });
        assert!(distance_m(west, east) < 300.0);
    }
}
