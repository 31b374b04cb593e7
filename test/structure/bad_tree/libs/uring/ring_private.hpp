// What ../core/private.hpp reaches for.
