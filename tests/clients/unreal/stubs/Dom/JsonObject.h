#pragma once
#include "CoreMinimal.h"

class FJsonObject
{
public:
	bool TryGetNumberField(const FString&, double&) const { return false; }
	bool TryGetStringField(const FString&, FString&) const { return false; }
	bool TryGetObjectField(const FString&, const TSharedPtr<FJsonObject>*&) const { return false; }
	bool TryGetStringArrayField(const FString&, TArray<FString>&) const { return false; }
};
