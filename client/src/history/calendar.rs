//! Days and times of day, in UTC: Howard Hinnant, "chrono-compatible low-level date algorithms".

use posthouse_spec::Millis;

/// A minute, milliseconds.
const MINUTE: u64 = 60_000;
/// Minutes of a day.
const DAY_MINUTES: u64 = 1440;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// A time as people read it, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The year.
    pub year: u64,
    /// The month, from 1.
    pub month: u64,
    /// The day, from 1.
    pub day: u64,
    /// The hour.
    pub hour: u64,
    /// The minute.
    pub minute: u64,
}

impl Moment {
    /// The time of this many milliseconds since 1970; seconds are left out.
    #[must_use]
    pub fn of(at: Millis) -> Self {
        let minutes = at.0 / MINUTE;
        let (days, minute) = (minutes / DAY_MINUTES, minutes % DAY_MINUTES);
        let shifted = days + EPOCH_DAYS;
        let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year, month, day, hour: minute / 60, minute: minute % 60 }
    }

    /// Reads `2026-11-20` or `2026-11-20T11:35`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.trim_end_matches('Z').split_once(['T', ' ']).unwrap_or((text, "00:00"));
        let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
        let mut time = time.splitn(2, ':').map(|part| part.parse::<u64>().ok());
        let moment = Self {
            year: date.next()??,
            month: date.next()??,
            day: date.next()??,
            hour: time.next()??,
            minute: time.next()??,
        };
        let fits =
            (1970..=9999).contains(&moment.year) && (1..=12).contains(&moment.month) && moment.day >= 1;
        // A day that its month does not have comes out as another one.
        (fits && Self::of(moment.millis()) == moment).then_some(moment)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> Millis {
        let year = self.year - u64::from(self.month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let month_from_march = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day.min(31).saturating_sub(1);
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = (era * ERA_DAYS + day_of_era).saturating_sub(EPOCH_DAYS);
        Millis((days * DAY_MINUTES + self.hour.min(24) * 60 + self.minute.min(60)) * MINUTE)
    }

    /// The day alone.
    #[must_use]
    pub fn date(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// The time of day alone.
    #[must_use]
    pub fn time(self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}Z", self.date(), self.time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_dates_and_read_again() {
        for (at, text) in [
            (0, "1970-01-01 00:00Z"),
            (951_782_400_000, "2000-02-29 00:00Z"),
            (1_795_174_500_000, "2026-11-20 11:35Z"),
            (253_402_300_740_000, "9999-12-31 23:59Z"),
        ] {
            let moment = Moment::of(Millis(at));
            assert_eq!(moment.to_string(), text);
            assert_eq!(moment.millis(), Millis(at));
            assert_eq!(Moment::parse(text), Some(moment));
        }
        assert_eq!(Moment::parse("2026-11-20"), Moment::parse("2026-11-20T00:00"));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for bad in [
            "",
            "today",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-00-01",
            "2026-01-01T25:00",
            "1969-12-31",
            "99999999999999999999-01-01",
            "2026-01-01T00:99",
            "2026-01-00",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }
}
