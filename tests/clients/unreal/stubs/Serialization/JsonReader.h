#pragma once
#include "CoreMinimal.h"

template <class C = TCHAR> class TJsonReader {};
template <class C = TCHAR> struct TJsonReaderFactory
{
	static TSharedPtr<TJsonReader<C>> Create(const FString&) { return {}; }
};
