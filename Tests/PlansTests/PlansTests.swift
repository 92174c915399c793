// PlansTests
